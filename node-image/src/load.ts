import { readFile } from 'node:fs/promises';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';

export type Load = NonNullable<NannyStatus['load']>;

/** What two processes have used of the processor until now, and of memory at this moment. */
export interface Used {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

/** Long enough that a backup's start is no peak, short enough that CloudWatch's minutes tell of different times. */
const windowMs = 60_000;
/** Unit of the times in /proc/<pid>/stat, the same on every Linux. */
const ticksPerSecond = 100;

/**
 * Of nanny and etcd together. Of their own figures, not of the cgroup's: those count the cache of every file that a snapshot was
 * read from, and nobody needs a larger task for that.
 */
export class LoadProbe {
  readonly #used: (pid: number) => Promise<Used>;
  /** Oldest first: one from before the window began, where there is one, and those since. Of one etcd process. */
  #looks: { readonly used: Used; readonly at: number }[] = [];
  #pid: number | undefined;

  constructor(used: (pid: number) => Promise<Used> = usedBy) {
    this.#used = used;
  }

  /** undefined until there are two looks at this process, and where there is no /proc. */
  async look(pid: number, nowMs: number): Promise<Load | undefined> {
    if (pid !== this.#pid) this.#looks = [];
    this.#pid = pid;
    const used = await this.#used(pid).catch(() => undefined);
    if (used === undefined) return undefined;
    this.#looks.push({ used, at: nowMs });
    while (nowMs - (this.#looks[1]?.at ?? nowMs) >= windowMs) this.#looks.shift();
    const first = this.#looks[0]!;
    if (nowMs <= first.at) return undefined;
    const cores = ((used.cpuSeconds - first.used.cpuSeconds) * 1000) / (nowMs - first.at);
    return { cpuCores: Math.max(0, Math.round(cores * 10_000) / 10_000), memoryBytes: used.memoryBytes };
  }
}

async function usedBy(pid: number): Promise<Used> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ]);
  const own = process.cpuUsage();
  return {
    cpuSeconds: ticksIn(stat) / ticksPerSecond + (own.user + own.system) / 1_000_000,
    memoryBytes: residentIn(status) + process.memoryUsage.rss(),
  };
}

/** utime and stime. The name in parentheses may itself have blanks and parentheses. */
export function ticksIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export const residentIn = (status: string): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
