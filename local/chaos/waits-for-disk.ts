import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** A thread's state is the first letter after the name in brackets; D: it waits for a device (proc_pid_stat(5)). */
function isWaiting(pid: number): boolean {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).some((thread) => {
    try {
      const stat = readFileSync(`${folder}/${thread}/stat`, 'latin1');
      return stat[stat.lastIndexOf(')') + 2] === 'D';
    } catch {
      // A thread that has ended since.
      return false;
    }
  });
}

/** Until a thread of the process waits for the disk, for `patienceMs` at most; at once where nobody can tell. */
export async function untilItWaitsForTheDisk(pid: number, patienceMs: number): Promise<void> {
  const end = performance.now() + patienceMs;
  try {
    while (!isWaiting(pid) && performance.now() < end) await setImmediate();
  } catch {
    // No /proc, or the process has ended.
  }
}
