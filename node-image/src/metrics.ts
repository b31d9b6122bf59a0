import * as https from 'node:https';

const timeoutMs = 2_000;
/** Looks closer together than this give the same answer: two callers must not halve each other's interval. */
const shortestMs = 900;
/**
 * The percentiles are those of the last half minute. A disk that stalls has good seconds between, a good one has a bad
 * second, and a cluster that is hardly written to has seconds without any sample.
 */
const windowMs = 30_000;

const names = {
  fsyncP99Ms: 'etcd_disk_wal_fsync_duration_seconds',
  commitP99Ms: 'etcd_disk_backend_commit_duration_seconds',
} as const;
type Name = keyof typeof names;
/** Grows with each change of users, roles and rights. */
const authRevisionName = 'etcd_debugging_auth_revision';
/** What follows the last of the two. */
const endMark = `${names.fsyncP99Ms}_count`;

/** Cumulative counts by upper bound in seconds, ascending; the last bound is Infinity. */
export type Histogram = readonly { readonly le: number; readonly count: number }[];
export type Looked = Readonly<Record<Name, Histogram>>;
export type DiskLatency = Readonly<Partial<Record<Name, number>>>;

/** 99th percentiles of etcd's disk latencies over the last half minute of looks at its metrics. */
export class LatencyProbe {
  readonly #url: URL;
  readonly #agent: () => https.Agent;
  readonly #window = new LatencyWindow();
  #latency: DiskLatency | undefined;
  #authRevision: number | undefined;

  constructor(metricsUrl: string, agent: () => https.Agent) {
    this.#url = new URL('/metrics', metricsUrl);
    this.#agent = agent;
  }

  /** Of etcd's users, roles and rights, at the last look; undefined when it failed. */
  get authRevision(): number | undefined {
    return this.#authRevision;
  }

  /** undefined until there are two looks, and after one that failed. */
  async look(nowMs: number): Promise<DiskLatency | undefined> {
    if (nowMs - this.#window.lastAt < shortestMs) return this.#latency;
    try {
      const text = await this.#fetch();
      const looked = {
        fsyncP99Ms: parse(text, names.fsyncP99Ms),
        commitP99Ms: parse(text, names.commitP99Ms),
      };
      this.#latency = this.#window.add(looked, nowMs);
      this.#authRevision = gaugeOf(text, authRevisionName);
    } catch {
      this.#window.clear();
      this.#latency = undefined;
      this.#authRevision = undefined;
    }
    return this.#latency;
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

/** The looks of the last half minute. */
export class LatencyWindow {
  /** Oldest first: one from before the window began, where there is one, and those since. Of one life of etcd. */
  #looks: { readonly looked: Looked; readonly at: number }[] = [];

  get lastAt(): number {
    return this.#looks.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** @returns undefined as long as there is no other look to compare with; without a name: nothing was counted */
  add(looked: Looked, at: number): DiskLatency | undefined {
    const before = this.#looks.at(-1);
    if (before && hasRestarted(before.looked, looked)) this.clear();
    this.#looks.push({ looked, at });
    while (at - (this.#looks[1]?.at ?? at) >= windowMs) this.#looks.shift();
    return this.#looks.length > 1 ? between(this.#looks[0]!.looked, looked) : undefined;
  }

  clear(): void {
    this.#looks = [];
  }
}

function between(before: Looked, now: Looked): DiskLatency {
  const latency: Partial<Record<Name, number>> = {};
  for (const name of Object.keys(names) as Name[]) {
    const p99 = percentile(before[name], now[name], 0.99);
    if (p99 !== undefined) latency[name] = Math.round(p99 * 10_000) / 10;
  }
  return latency;
}

const countOf = (histogram: Histogram): number => histogram.at(-1)?.count ?? 0;

/** Counts never go back in one life of etcd. */
const hasRestarted = (before: Looked, now: Looked): boolean =>
  (Object.keys(names) as Name[]).some(
    (name) => countOf(now[name]) < countOf(before[name]) || now[name].length !== before[name].length,
  );

/** A number without labels in Prometheus' text format. */
export function gaugeOf(text: string, name: string): number | undefined {
  const start = text.indexOf(`\n${name} `);
  if (start < 0) return undefined;
  const value = Number(text.slice(start + name.length + 2, text.indexOf('\n', start + 1)));
  return Number.isFinite(value) ? value : undefined;
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
 * Of what one life of etcd counted between two looks, interpolated within its bucket as Prometheus does it; seconds.
 * undefined when nothing happened.
 */
export function percentile(before: Histogram, now: Histogram, share: number): number | undefined {
  const since = now.map(({ le, count }, n) => ({ le, count: count - before[n]!.count }));
  const wanted = (since.at(-1)?.count ?? 0) * share;
  if (wanted <= 0) return undefined;
  const n = since.findIndex(({ count }) => count >= wanted);
  const from = since[n - 1] ?? { le: 0, count: 0 };
  const { le, count } = since[n]!;
  if (le === Number.POSITIVE_INFINITY) return from.le;
  return from.le + ((le - from.le) * (wanted - from.count)) / (count - from.count);
}
