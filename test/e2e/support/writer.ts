import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { issueCredentials } from './clients.ts';
import type { TestCloud } from './cloud.ts';

export interface WriterCounts {
  /** Keys whose write was acknowledged. */
  readonly written: readonly string[];
  /** Writes that needed their retry. */
  readonly retried: number;
  /** What the writes that failed twice said. */
  readonly failed: readonly string[];
  /** Longest time between two acknowledged writes, of whichever worker, ms. */
  readonly longestGapMs: number;
}

export interface Writer {
  counts(): WriterCounts;
  /** Ends after the writes under way. */
  stop(): Promise<WriterCounts>;
}

/** No retries and no circuit breaker: what fails is to be counted here. */
const once = {
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  execute: (run: (context: { signal: AbortSignal }) => unknown) =>
    run({ signal: new AbortController().signal }),
};
const workers = 4;
/** A pause between two writes of a worker: the cores belong to the cluster. */
const pauseMs = 20;
/** More than etcd's own 7 s, after which it says that a write got lost with its leader. */
const deadlineMs = 10_000;
/** Longer than an election: what a follower passes on to a leader that has just died is lost. */
const retryAfterMs = 2_000;

/** It never left this process: any client with several endpoints takes the next one, without calling it a retry. */
const neverSent = (error: unknown): boolean => /No connection established|ECONNREFUSED/.test(String(error));

/** Writes new keys below `prefix` all the time, on all endpoints in turn; a write that failed is tried once more. */
export async function startWriter(cloud: TestCloud, tenantId: string, prefix: string): Promise<Writer> {
  const [{ endpoints }, credentials] = await Promise.all([
    cloud.tenant(tenantId),
    issueCredentials(cloud, tenantId),
  ]);
  const clients = endpoints.map(
    (hosts) =>
      new Etcd3({
        hosts,
        credentials: {
          rootCertificate: Buffer.from(credentials.caBundle),
          privateKey: Buffer.from(credentials.privateKey),
          certChain: Buffer.from(credentials.certificate),
        },
        faultHandling: { host: () => once as never, global: once as never },
      }),
  );
  const written: string[] = [];
  const failed: string[] = [];
  let [retried, longestGapMs, lastAt, next, stopping] = [0, 0, Date.now(), 0, false];

  const put = async (first: number, key: string) => {
    for (let tried = 1; ; tried += 1) {
      const client = clients[(first + tried) % clients.length]!;
      const deadline = new Date(Date.now() + deadlineMs);
      try {
        await client.put(key).value(key).options({ deadline });
        return;
      } catch (error) {
        if (!neverSent(error) || tried === clients.length) throw error;
      }
    }
  };
  const write = async (number: number) => {
    const key = `${prefix}${number}`;
    try {
      await put(number, key).catch(async () => {
        retried += 1;
        await sleep(retryAfterMs);
        await put(number + 1, key);
      });
    } catch (error) {
      failed.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    written.push(key);
    longestGapMs = Math.max(longestGapMs, Date.now() - lastAt);
    lastAt = Date.now();
  };
  const work = async () => {
    while (!stopping) {
      await write(next++);
      await sleep(pauseMs);
    }
  };
  const ended = Promise.all(Array.from({ length: workers }, work));
  const counts = () => ({ written: [...written], retried, failed: [...failed], longestGapMs });
  return {
    counts,
    async stop() {
      stopping = true;
      await ended;
      for (const client of clients) client.close();
      return counts();
    },
  };
}
