import { readFileSync } from 'node:fs';

/** Resident memory of processes in MiB, shared pages divided among those that share them (PSS). Who has ended counts 0. */
export const residentMiB = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + pssKiB(pid), 0) / 1024;

function pssKiB(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
