import { setTimeout as delay } from 'node:timers/promises';

/** Time and chance, so that tests can bring their own. */
export interface Timing {
  now(): Date;
  /** Ends early, without an error, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** 0 (inclusive) to 1 (exclusive). */
  random(): number;
}

export const realTiming: Timing = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    // Rejects only when aborted, which is the same as "time to look again".
    await delay(ms, undefined, { signal }).catch(() => undefined);
  },
  random: Math.random,
};

/** Exponential back-off with jitter: half of it fixed, half of it random. `attempt` counts from 0. */
export function backOffMs(
  attempt: number,
  timing: Pick<Timing, 'random'>,
  limits: { firstMs: number; maxMs: number },
): number {
  const full = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(attempt, 20));
  return full / 2 + (full / 2) * timing.random();
}
