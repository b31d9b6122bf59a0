import { readdir, readFile } from 'node:fs/promises';
import type { Log } from '../../lambdas/core/ports.ts';
import type { Timing } from './timing.ts';

const goneWithinMs = 5_000;

/**
 * Ends an etcd that a killed nanny has left behind on this disk. In a container of its own there is never one; where
 * processes share a machine it would hold the ports and the data for ever. Looks at /proc, so it does nothing elsewhere.
 */
export async function endOrphan(etcdDirectory: string, log: Log, timing: Timing): Promise<void> {
  for (const pid of await pidsOn(etcdDirectory)) {
    log.warn('An etcd of an earlier nanny still runs on this disk: ending it', { pid });
    kill(pid, 'SIGKILL');
    const deadline = timing.now().getTime() + goneWithinMs;
    while (kill(pid, 0) && timing.now().getTime() < deadline) await timing.sleep(20);
  }
}

async function pidsOn(etcdDirectory: string): Promise<number[]> {
  const entries = await readdir('/proc').catch(() => []);
  const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number);
  const ours = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const [program, ...rest] = line.split('\0');
      return program?.endsWith('/etcd') && rest.includes(`--data-dir=${etcdDirectory}`);
    }),
  );
  return pids.filter((_, index) => ours[index]);
}

/** Whether there was such a process. */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
