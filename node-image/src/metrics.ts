import * as https from 'node:https';

const timeoutMs = 2_000;
/** Looks closer together than this give the same answer: two callers must not halve each other's interval. */
const shortestMs = 900;
/** The two histograms are in the first third of etcd's 160 kB (sorted by name). */
const keptBytes = 256 * 1024;

const names = {
  fsyncP99Ms: 'etcd_disk_wal_fsync_duration_seconds',
  commitP99Ms: 'etcd_disk_backend_commit_duration_seconds',
} as const;
type Name = keyof typeof names;

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
      this.#latency = before && between(before.looked, looked);
    } catch {
      this.#last = undefined;
      this.#latency = undefined;
    }
    return this.#latency;
  }

  async #fetch(): Promise<string> {
    return await new Promise<string>((resolve, reject) => {
      const request = https.get(this.#url, { agent: this.#agent(), timeout: timeoutMs }, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          // The rest is read, so that the connection can be used again, but not kept.
          if (size < keptBytes) chunks.push(chunk);
          size += chunk.length;
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

function between(before: Looked, now: Looked): DiskLatency {
  return Object.fromEntries(
    (Object.keys(names) as Name[]).flatMap((name) => {
      const p99 = percentile(before[name], now[name], 0.99);
      return p99 === undefined ? [] : [[name, Math.round(p99 * 10_000) / 10]];
    }),
  );
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
