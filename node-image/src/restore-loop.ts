import type { Log } from '../../lambdas/core/ports.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { sentence } from './log.ts';
import type { MemberDisk } from './member-disk.ts';
import { type RestoreOptions, restoreSnapshot, WrongSnapshotError } from './restore.ts';
import { backOffMs, type Timing } from './timing.ts';

const backOff = { firstMs: 1_000, maxMs: 30_000 };
/** The store or the network may have altered it on the way once; after this it is the snapshot. */
const wrongTries = 3;

export interface RestoreLoopOptions extends Omit<RestoreOptions, 'disk'> {
  readonly disk: MemberDisk;
  readonly onChange: () => void;
  readonly log: Log;
  readonly timing: Timing;
}

/** Makes the first data of a member whose nanny.json says `restore`, however often it takes. */
export class RestoreLoop {
  readonly #options: RestoreLoopOptions;
  #problem: NonNullable<NannyStatus['etcd']['lastExit']> | undefined;

  constructor(options: RestoreLoopOptions) {
    this.#options = options;
  }

  /** As the supervisor tells it, while there is no etcd yet. */
  get view(): NannyStatus['etcd'] {
    const lastExit = this.#problem;
    return { state: lastExit ? 'backing-off' : 'starting', restarts: 0, ...(lastExit && { lastExit }) };
  }

  /** Resolves with true once etcd may be started, with false when it may not be or we were told to stop. */
  async run(signal: AbortSignal): Promise<boolean> {
    const { disk, log, timing, onChange } = this.#options;
    let wrong = 0;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        await this.#once(signal);
        return true;
      } catch (error) {
        if (signal.aborted) return false;
        const reason = `The snapshot could not be restored: ${sentence(error)}`;
        wrong = error instanceof WrongSnapshotError ? wrong + 1 : 0;
        log.error(reason);
        this.#problem = { at: timing.now().toISOString(), code: null, signal: null, reason };
        onChange();
        if (wrong >= wrongTries) {
          await disk.update({ ended: { state: 'data-lost', reason } });
          onChange();
          return false;
        }
        await timing.sleep(backOffMs(attempt, timing, backOff), signal);
      }
    }
    return false;
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { disk, log, timing } = this.#options;
    const order = disk.saved?.restore;
    // Killed between the rename and this: the data is whole, and is never made again over itself.
    if (!disk.hasData()) {
      if (order === undefined) throw new Error('nanny.json says "restore" but not from what');
      const startedAt = timing.now().getTime();
      log.info('Restoring a snapshot', {
        bucket: order.bucket,
        key: order.key,
        bumpRevision: order.bumpRevision,
      });
      await restoreSnapshot(order, this.#options, signal);
      log.info('Snapshot restored', { seconds: (timing.now().getTime() - startedAt) / 1_000 });
    }
    // Before etcd's first start: from then on this disk is never given to `restore` again (S3).
    await disk.update({ mode: 'resume', restore: undefined });
  }
}
