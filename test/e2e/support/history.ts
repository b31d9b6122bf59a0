/** What one client asked of one key, with the time it asked and the time it was answered, both of the same clock. */
export interface HistoryEntry {
  readonly client: number;
  readonly key: string;
  readonly operation: RegisterOperation;
  readonly invokedAt: number;
  /** Infinity: nobody knows whether it happened, so it may take effect at any time from `invokedAt` on, or never. */
  readonly returnedAt: number;
  /** `failed`: for sure it never happened. */
  readonly outcome: 'ok' | 'failed' | 'unknown';
  /** Of the store when it was answered, as etcd says. A new incarnation goes on far above all of the one before. */
  readonly revision?: number;
}

/** null: there is no such key. */
export type Value = string | null;

export type RegisterOperation =
  | { readonly type: 'put'; readonly value: string }
  /** `saw` is what was read; absent as long as no answer came. */
  | { readonly type: 'get'; readonly saw?: Value }
  /** Compare and swap. Where it did not swap, `saw` is the value that was there instead. */
  | {
      readonly type: 'cas';
      readonly expected: string;
      readonly value: string;
      readonly swapped?: boolean;
      readonly saw?: Value;
    };
