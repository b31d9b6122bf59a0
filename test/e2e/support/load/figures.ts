/** Counted since the load began, or since the last lap. */
export interface Figures {
  readonly acknowledged: number;
  /** Writes that needed their retry, whatever came of it. */
  readonly retried: number;
  /** Writes that failed twice. */
  readonly failed: number;
  /** Longest time without an acknowledged write, of whichever key, ms; the time since the last one counts too. */
  readonly longestGapMs: number;
}

export interface Lap extends Figures {
  /** Number of the first key that was not asked for yet when the lap ended. */
  readonly nextKey: number;
  /** What the writes that failed in this lap said. */
  readonly failures: readonly string[];
}

export interface Counter {
  acknowledge(now: number): void;
  retry(): void;
  fail(message: string): void;
  figures(now: number): Figures;
  /** Figures since the last lap, and begins the next. */
  lap(now: number): Figures & { readonly failures: readonly string[] };
  readonly failures: readonly string[];
}

interface Sums {
  acknowledged: number;
  retried: number;
  failed: number;
  longestGapMs: number;
}

const zero = (): Sums => ({ acknowledged: 0, retried: 0, failed: 0, longestGapMs: 0 });

export function createCounter(startedAt: number): Counter {
  const [all, failures] = [zero(), [] as string[]];
  let [since, told, lastAt, lapAt] = [zero(), 0, startedAt, startedAt];
  const both = (change: (sums: Sums) => void) => {
    change(all);
    change(since);
  };
  const seen = (sums: Sums, from: number, now: number): Figures => ({
    ...sums,
    longestGapMs: Math.round(Math.max(sums.longestGapMs, now - from)),
  });
  return {
    acknowledge(now) {
      all.longestGapMs = Math.max(all.longestGapMs, now - lastAt);
      // A gap that began before the lap counts in it from the lap's begin.
      since.longestGapMs = Math.max(since.longestGapMs, now - Math.max(lastAt, lapAt));
      lastAt = now;
      both((sums) => {
        sums.acknowledged += 1;
      });
    },
    retry: () =>
      both((sums) => {
        sums.retried += 1;
      }),
    fail(message) {
      failures.push(message);
      both((sums) => {
        sums.failed += 1;
      });
    },
    figures: (now) => seen(all, lastAt, now),
    lap(now) {
      const figures = seen(since, Math.max(lastAt, lapAt), now);
      const result = { ...figures, failures: failures.slice(told) };
      [since, told, lapAt] = [zero(), failures.length, now];
      return result;
    },
    failures,
  };
}
