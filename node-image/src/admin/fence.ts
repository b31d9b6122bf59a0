import type { Log } from '../../../lambdas/core/ports.ts';
import type { MemberDisk } from '../member-disk.ts';
import { AdminError, invalid } from './errors.ts';

export interface FenceStore {
  /** Highest token seen so far. */
  readonly current: () => number;
  /** On the disk when the promise settles, unless the disk is full. */
  readonly raise: (token: number) => Promise<void>;
}

const diskFull = new Set(['ENOSPC', 'EDQUOT']);

/**
 * The fence in nanny.json. On a full disk a higher one is kept in memory only: compaction, defragmentation and disarming
 * are what makes room again, and refusing them for want of room would be a trap. What that costs: a nanny that is
 * restarted before there was room again forgets it, and would listen to a function whose lease is over.
 */
export function diskFence(disk: Pick<MemberDisk, 'saved' | 'update'>, log: Log): FenceStore {
  let kept = 0;
  return {
    current: () => Math.max(disk.saved?.fence ?? 0, kept),
    raise: async (fence) => {
      try {
        await disk.update({ fence });
      } catch (error) {
        if (!diskFull.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
        log.warn('The disk is full: the fence is kept in memory only, until it can be saved', { fence });
        kept = fence;
      }
    },
  };
}

/**
 * Keeps a control-plane function that lost its lease from changing the cluster: a token lower than the highest seen is
 * refused, also after a restart. Changes run one after the other, so none with an old token can be under way when a
 * higher one is acted on.
 */
export class Fence {
  readonly #store: FenceStore;
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: FenceStore) {
    this.#store = store;
  }

  /** @throws AdminError 400 without a token, 409 `fenced` with an old one */
  async guard<T>(header: string | undefined, act: () => Promise<T>): Promise<T> {
    if (header === undefined || !/^\d{1,15}$/.test(header)) {
      throw invalid('The header x-fencing-token must carry the fence of the lease, a whole number.');
    }
    const token = Number(header);
    const run = this.#last.then(async () => {
      const highest = this.#store.current();
      if (token < highest) {
        throw new AdminError(
          409,
          'fenced',
          `Somebody with the newer lease ${highest} works on this tenant: the lease ${token} is over. Read the record again.`,
        );
      }
      if (token > highest) await this.#store.raise(token);
      return await act();
    });
    this.#last = run.catch(() => undefined);
    return await run;
  }
}
