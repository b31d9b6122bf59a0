import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface PoolSize {
  /** On a machine that has nothing else to do. */
  readonly most: number;
  /** On one that is busy with other things: then more at once only hold each other up. */
  readonly least: number;
}

/** Mean time between two turns of a timer of 20 ms: 21 ms where nothing else runs. */
const busyMs = 45;
/** One more at most each time: what the last one costs is felt by then. */
const lookEveryMs = 1_500;

/**
 * Works on all items, as many at once as the machine bears, also on those that are added to `queue` meanwhile.
 * @throws what the first of them has thrown, when all are done
 */
export async function inPool<T>(
  queue: T[],
  { most, least }: PoolSize,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  try {
    while (queue.length > 0 || running.size > 0) {
      const wanted = delay.mean / 1e6 > busyMs ? least : Math.min(most, Math.max(least, running.size + 1));
      delay.reset();
      while (running.size < wanted && queue.length > 0) {
        const job = work(queue.shift()!)
          .catch((error: unknown) => void failures.push(error))
          .finally(() => running.delete(job));
        running.add(job);
      }
      await sleep(lookEveryMs);
    }
  } finally {
    delay.disable();
  }
  if (failures.length > 0) throw failures[0];
}
