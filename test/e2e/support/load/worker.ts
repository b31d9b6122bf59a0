/** A thread of its own: what the cloud in the test's thread has to do must not look like a gap in the writes. */
import { setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { KeyPair } from '../clients.ts';
import { createCounter } from './figures.ts';
import { startHotKeys } from './hot-keys.ts';
import { manyEndpoints } from './many-endpoints.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { startNumberedWrites } from './numbered-writes.ts';
import { compare } from './read-back.ts';

export interface LoadSettings {
  readonly credentials: KeyPair;
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly perSecond: number;
  readonly hotKeys: number;
}

const port = parentPort as MessagePort;
const { credentials, endpoints, prefix, perSecond, hotKeys } = workerData as LoadSettings;
const etcd = manyEndpoints(credentials);
etcd.use(endpoints);
try {
  // Of this thread alone, on Linux: clients are on machines of their own, and what else this one has to do is no gap in the writes.
  setPriority(-5);
} catch {
  // Not as root: then it is as good as it is.
}
const delay = monitorEventLoopDelay();
delay.enable();
const counter = createCounter(performance.now());
const numbered = `${prefix}n/`;
const writes = startNumberedWrites(etcd, counter, { prefix: numbered, perSecond });
const hot = startHotKeys(etcd, { prefix: `${prefix}hot/`, keys: hotKeys, random: Math.random });
const say = (message: FromWorker) => port.postMessage(message);
const telling = setInterval(
  () =>
    say({
      told: 'figures',
      waiting: writes.waiting(),
      oldest: writes.oldest(),
      next: writes.nextKey(),
      silent: etcd.silent(),
      ...counter.figures(performance.now()),
    }),
  50,
);

async function answer(message: ToWorker): Promise<void> {
  switch (message.ask) {
    case 'use':
      return etcd.use(message.endpoints);
    case 'lap':
      return say({ told: 'lap', ...counter.lap(performance.now()), nextKey: writes.nextKey() });
    case 'stop': {
      const figures = counter.figures(performance.now());
      await Promise.all([writes.stop(), hot.stop()]);
      clearInterval(telling);
      const after = counter.figures(performance.now());
      return say({
        told: 'stopped',
        ...after,
        // Nothing is asked for any more: the time until the last answer is no gap.
        longestGapMs: figures.longestGapMs,
        failures: counter.failures,
        stoodStillMs: Math.round(delay.max / 1e6),
        history: hot.history,
        revisions: writes.acknowledged(),
        answeredAt: writes.answeredAt(),
      });
    }
    case 'read-back':
      etcd.use(message.endpoints);
      return say({
        told: 'read-back',
        ...(await compare(etcd, numbered, { acknowledged: writes.acknowledged(), next: writes.nextKey() })),
      });
    case 'end':
      etcd.close();
      port.close();
  }
}

port.on('message', (message: ToWorker) => {
  answer(message).catch((error: unknown) => say({ told: 'broken', why: String(error) }));
});
