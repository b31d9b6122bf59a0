import * as https from 'node:https';

const timeoutMs = 2_000;
/** Looks closer together than this give the same answer: two callers must not halve each other's interval. */
const shortestMs = 900;
/** A cluster that is hardly written to has whole seconds without a sample: the last one stands for this long. */
const heldMs = 15_000;

const names = {
  fsyncP99Ms: 'etcd_disk_wal_fsync_duration_seconds',
  commitP99Ms: 'etcd_disk_backend_commit_duration_seconds',
} as const;
type Name = keyof typeof names;
/** What follows the last of the two. */
const endMark = `${names.fsyncP99Ms}_count`;

/** Cumulative counts by upper bound in seconds, ascending; the last bound is Infinity. */
export type Histogram = readonly { readonly le: number; readonly count: number }[];
type Looked = Readonly<Record<Name, Histogram>>;
export type DiskLatency = Readonly<Partial<Record<Name, number>>>;

/** 99th percentiles of etcd's disk latencies over the time between two looks at its metrics. */
export class LatencyProbe {
  readonly #url: URL;
  readonly #agent: () => https.Agent;
  #last: { looked: Looked; at: number } | undefined;
  #latency: DiskLatency | undefined;
  readonly #held = new Map<Name, { value: number; at: number }>();

  constructor(metricsUrl: string, agent: () => https.Agent) {
    this.#url = new URL('/metrics', metricsUrl);
    this.#agent = agent;
  }

  /** undefined until there are two looks, and after one that failed. */
  async look(nowMs: number): Promise<DiskLatency | undefined> {
    const before = this.#last;
    if (before && nowMs - before.at < shortestMs) return this.#latency;
    try {
      const text = await this.#fetch();
      const looked = {
        fsyncP99Ms: parse(text, names.fsyncP99Ms),
        commitP99Ms: parse(text, names.commitP99Ms),
      };
      this.#last = { looked, at: nowMs };
      this.#latency = before && this.#between(before.looked, looked, nowMs);
    } catch {
      this.#last = undefined;
      this.#held.clear();
      this.#latency = undefined;
    }
    return this.#latency;
  }

  #between(before: Looked, now: Looked, at: number): DiskLatency {
    for (const name of Object.keys(names) as Name[]) {
      const p99 = percentile(before[name], now[name], 0.99);
      if (p99 !== undefined) this.#held.set(name, { value: Math.round(p99 * 10_000) / 10, at });
      else if (at - (this.#held.get(name)?.at ?? at) > heldMs) this.#held.delete(name);
    }
    return Object.fromEntries([...this.#held].map(([name, { value }]) => [name, value]));
  }

  async #fetch(): Promise<string> {
    return await new Promise<string>((resolve, reject) => {
      const request = https.get(this.#url, { agent: this.#agent(), timeout: timeoutMs }, (response) => {
        const chunks: Buffer[] = [];
        let complete = false;
        response.on('data', (chunk: Buffer) => {
          // etcd sorts by name: of 160 kB the first third is enough. The rest is read, so that the connection can be used
          // again, but not kept.
          if (complete) return;
          chunks.push(chunk);
          complete = Buffer.concat(chunks.slice(-2)).includes(endMark);
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('latin1'));
          else reject(new Error(`/metrics answered ${response.statusCode}`));
        });
      });
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', reject);
    });
  }
}

/** A histogram without labels in Prometheus' text format. */
export function parse(text: string, name: string): Histogram {
  const start = text.indexOf(`\n${name}_bucket{`);
  const end = text.indexOf(`\n${name}_sum`, start);
  if (start < 0 || end < 0) return [];
  return text
    .slice(start + 1, end)
    .split('\n')
    .map((line) => {
      const [, le, count] = /le="([^"]+)"\} (\S+)/.exec(line) ?? [];
      return { le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), count: Number(count) };
    });
}

/**
 * Of what was counted between two looks, interpolated within its bucket as Prometheus does it; seconds. undefined when
 * nothing happened. Counts that went back are those of an etcd that was restarted: they are the difference then.
 */
export function percentile(before: Histogram, now: Histogram, share: number): number | undefined {
  const total = now.at(-1)?.count ?? 0;
  const restarted = (before.at(-1)?.count ?? 0) > total || before.length !== now.length;
  const since = now.map(({ le, count }, n) => ({ le, count: restarted ? count : count - before[n]!.count }));
  const wanted = (since.at(-1)?.count ?? 0) * share;
  if (wanted <= 0) return undefined;
  const n = since.findIndex(({ count }) => count >= wanted);
  const from = since[n - 1] ?? { le: 0, count: 0 };
  const { le, count } = since[n]!;
  if (le === Number.POSITIVE_INFINITY) return from.le;
  return from.le + ((le - from.le) * (wanted - from.count)) / (count - from.count);
}
