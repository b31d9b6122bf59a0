import { setTimeout as sleep } from 'node:timers/promises';
import type { Counter } from './figures.ts';
import type { ManyEndpoints } from './many-endpoints.ts';

/** Of the first attempt: what a follower has passed on to a leader that died is never answered before etcd's own 7 s. */
const firstDeadlineMs = 3_000;
/** Longer than an election of two rounds: a client that comes back earlier finds nobody who leads. */
const retryAfterMs = 2_000;
/** More than etcd's own 7 s: its own answer is to be had. */
const retryDeadlineMs = 10_000;
const tickMs = 5;
const waitingMs = 1_000;

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export interface NumberedWrites {
  nextKey(): number;
  /** Writes that were asked for a second ago or more and have no answer yet. */
  waiting(): number;
  /** The first of those that have no answer yet; `nextKey` when all have one. */
  oldest(): number;
  /** Number → revision that etcd answered with. */
  acknowledged(): ReadonlyMap<number, number>;
  /** Number → when the answer came, ms since the epoch. */
  answeredAt(): ReadonlyMap<number, number>;
  /** Ends after the writes under way. */
  stop(): Promise<void>;
}

/**
 * Writes keys 0, 1, 2 ... below `prefix`, `perSecond` of them whatever becomes of those before (an open loop: slow answers
 * do not slow the asking). A write that failed is tried once more.
 */
export function startNumberedWrites(
  etcd: Pick<ManyEndpoints, 'call'>,
  counter: Counter,
  { prefix, perSecond }: { readonly prefix: string; readonly perSecond: number },
): NumberedWrites {
  const acknowledged = new Map<number, number>();
  const answeredAt = new Map<number, number>();
  const running = new Map<Promise<void>, { readonly number: number; readonly since: number }>();
  const startedAt = performance.now();
  let next = 0;

  const put = (key: string, deadlineMs: number) =>
    etcd.call(deadlineMs, async (client, deadline) => {
      const { header } = await client.put(key).value(key).options({ deadline }).exec();
      return Number(header.revision);
    });

  async function write(number: number): Promise<void> {
    const key = `${prefix}${number}`;
    const begun = performance.now();
    const asked = [new Date()];
    let first: unknown;
    try {
      const revision = await put(key, firstDeadlineMs).catch(async (error) => {
        first = error;
        counter.retry();
        await sleep(Math.max(0, retryAfterMs - (performance.now() - begun)));
        asked.push(new Date());
        return put(key, retryDeadlineMs);
      });
      acknowledged.set(number, revision);
      answeredAt.set(number, Date.now());
    } catch (error) {
      const times = asked.map((at) => at.toISOString()).join(' and ');
      counter.fail(`${key}: ${said(error)} (asked at ${times}; before: ${said(first)})`);
      return;
    }
    counter.acknowledge(performance.now());
  }

  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1_000);
    while (next < due) {
      const number = next++;
      const job = write(number).finally(() => running.delete(job));
      running.set(job, { number, since: performance.now() });
    }
  }, tickMs);
  return {
    nextKey: () => next,
    waiting: () => [...running.values()].filter(({ since }) => performance.now() - since > waitingMs).length,
    oldest: () => Math.min(next, ...[...running.values()].map(({ number }) => number)),
    acknowledged: () => acknowledged,
    answeredAt: () => answeredAt,
    async stop() {
      clearInterval(timer);
      while (running.size > 0) await Promise.all(running.keys());
    },
  };
}
