import { Worker } from 'node:worker_threads';
import { issueCredentials, type KeyPair } from './clients.ts';
import type { TestCloud } from './cloud.ts';
import type { HistoryEntry } from './history.ts';
import type { Figures, Lap } from './load/figures.ts';
import type { FromWorker, ToWorker } from './load/messages.ts';
import type { LoadSettings } from './load/worker.ts';
import { askAws } from './truth.ts';
import { until } from './until.ts';

export type { Figures, Lap } from './load/figures.ts';

export interface LoadOptions {
  /** Writes of new keys. @default 200 */
  readonly perSecond?: number;
  /** Keys that are put, read and compared-and-swapped by three clients each. @default 2 */
  readonly hotKeys?: number;
}

export interface LoadReport {
  readonly acknowledged: number;
  /** Writes that needed their retry, whatever came of it. */
  readonly retried: number;
  /** What the writes said that failed twice. */
  readonly failed: readonly string[];
  readonly longestGapMs: number;
  /** Longest time in which this client got none of the machine: its deadlines and its connections' passed unserved. */
  readonly stoodStillMs: number;
  /** Numbers of acknowledged keys that one endpoint at least did not have at the end. */
  readonly lost: readonly number[];
  /** Keys that one endpoint at least had at the end although nobody ever wrote them. */
  readonly invented: readonly string[];
  /** Number of each acknowledged key → when it was, ms since the epoch. */
  readonly answeredAt: ReadonlyMap<number, number>;
  /** Number of each acknowledged key → revision that etcd answered its write with. */
  readonly revisions: ReadonlyMap<number, number>;
  /** Of the hot keys; check it with `checkHistory`. */
  readonly history: readonly HistoryEntry[];
}

export interface Load {
  readonly tenantId: string;
  /** Since it began; at most 50 ms old. */
  figures(): Figures;
  /** Since the last lap or the begin; begins a new lap. */
  lap(): Promise<Lap>;
  /** Waits until that many more writes are acknowledged. */
  goesOn(writes?: number, deadlineMs?: number): Promise<void>;
  /**
   * Waits until the client has got over the last fault: every write that was asked for until now has its answer, none of
   * some time ago waits for one, and no endpoint is silent that calls still go to. A write whose first attempt goes to a
   * silent one has only its retry for whatever is done next, and one retry is no promise for two faults at once.
   */
  settles(): Promise<void>;
  /** Ends the writes, reads them back through all endpoints. The second call gives the same report. */
  stop(): Promise<LoadReport>;
}

const refreshMs = 1_000;
/** Members answer on their own port 2379 whatever name they were found by. */
const urlOf = (ip: string): string => `https://${ip}:2379`;

/** A cluster under load, whoever runs it. */
export interface LoadTarget {
  /** For people. */
  readonly name: string;
  readonly credentials: KeyPair;
  /** Client URLs as a client finds them now. */
  found(): Promise<string[]>;
  /** Client URLs of all voters at the end. */
  voters(): Promise<readonly string[]>;
  close(): void;
}

/** Finds the endpoints anew each second by the tenant's name in Cloud Map, as a client that uses the DNS name does. */
export async function startLoad(
  cloud: TestCloud,
  tenantId: string,
  options: LoadOptions = {},
): Promise<Load> {
  const aws = askAws(cloud);
  const target: LoadTarget = {
    name: tenantId,
    credentials: await issueCredentials(cloud, tenantId),
    found: async () => Object.values((await aws.instances(tenantId)) ?? {}).map(urlOf),
    // Whoever votes has to have all of it, registered or not.
    voters: async () => (await cloud.tenant(tenantId)).endpoints,
    close: () => aws.close(),
  };
  return startLoadOn(target, options);
}

/** A client with all endpoints. Writes `perSecond` new keys whatever becomes of those before. */
export async function startLoadOn(target: LoadTarget, options: LoadOptions = {}): Promise<Load> {
  const { perSecond = 200, hotKeys = 2 } = options;
  const { credentials, found } = target;
  const endpoints = await found();
  const settings: LoadSettings = { credentials, endpoints, prefix: 'load/', perSecond, hotKeys };
  const worker = new Worker(new URL('./load/worker.ts', import.meta.url), { workerData: settings });
  const ask = (message: ToWorker) => worker.postMessage(message);

  let writes = { waiting: 0, oldest: 0, next: 0, silent: 0 };
  let figures: Figures = { acknowledged: 0, retried: 0, failed: 0, longestGapMs: 0 };
  let broken: Error | undefined;
  const waiting = new Set<(message: FromWorker) => void>();
  const heard = (message: FromWorker) => {
    if (message.told === 'figures') {
      figures = message;
      writes = message;
    }
    if (message.told === 'broken') broken = new Error(message.why);
    for (const tell of waiting) tell(message);
  };
  worker.on('message', heard);
  worker.on('error', (error) => heard({ told: 'broken', why: String(error) }));
  const answerTo = <T extends FromWorker['told']>(
    message: ToWorker,
    told: T,
  ): Promise<Extract<FromWorker, { told: T }>> =>
    new Promise((resolve, reject) => {
      if (broken !== undefined) return reject(broken);
      const tell = (answer: FromWorker) => {
        if (answer.told !== told && answer.told !== 'broken') return;
        waiting.delete(tell);
        if (answer.told === 'broken') reject(new Error(answer.why));
        else resolve(answer as Extract<FromWorker, { told: T }>);
      };
      waiting.add(tell);
      ask(message);
    });

  let known = endpoints.join();
  const refresh = setInterval(async () => {
    const now = await found().catch(() => []);
    // A name that is being taken from one member and given to another has nobody for a moment.
    if (now.length === 0 || now.join() === known) return;
    known = now.join();
    ask({ ask: 'use', endpoints: now });
  }, refreshMs);

  async function end(): Promise<LoadReport> {
    try {
      const { told: _told, failures, failed: _failed, ...rest } = await answerTo({ ask: 'stop' }, 'stopped');
      clearInterval(refresh);
      const voters = await target.voters();
      const { lost, invented } = await answerTo({ ask: 'read-back', endpoints: voters }, 'read-back');
      return { ...rest, failed: failures, lost, invented };
    } finally {
      clearInterval(refresh);
      ask({ ask: 'end' });
      target.close();
      await worker.terminate();
    }
  }
  let report: Promise<LoadReport> | undefined;
  return {
    tenantId: target.name,
    figures: () => figures,
    async lap() {
      const { told: _told, ...lap } = await answerTo({ ask: 'lap' }, 'lap');
      return lap;
    },
    async goesOn(writes = 100, deadlineMs) {
      const { acknowledged } = figures;
      const there = () => {
        if (broken !== undefined) throw broken;
        return figures.acknowledged >= acknowledged + writes;
      };
      await until(`${writes} more writes of ${target.name}`, there, {
        ...(deadlineMs !== undefined && { deadlineMs }),
        everyMs: 50,
      });
    },
    async settles() {
      // What was told last may be older than the fault before.
      const before = writes;
      await until('news of the writes', () => writes !== before, { everyMs: 10 });
      const { next } = writes;
      const settled = () => writes.waiting === 0 && writes.oldest >= next && writes.silent === 0;
      await until(`no write of ${target.name} to wait`, settled, { everyMs: 50 });
    },
    stop() {
      report ??= end();
      return report;
    },
  };
}
