import { AdminError, invalid } from './errors.ts';

export interface FenceStore {
  /** Highest token seen so far. */
  readonly current: () => number;
  /** On the disk when the promise settles. */
  readonly raise: (token: number) => Promise<void>;
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
