import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsError } from '../aws/service.ts';
import { parentOf } from '../services/ecs/process-table.ts';
import { etcdOf, type MemberTask, requireEtcd, signal } from './member-task.ts';

/**
 * Kills the etcd of a member and does something to its disk before the nanny can start it again: the nanny stands still
 * meanwhile, as if the machine had.
 */
export async function whileEtcdIsDown<T>(
  task: MemberTask,
  work: (etcd: EtcdCommand) => Promise<T> | T,
): Promise<T> {
  const pid = requireEtcd(task);
  const nanny = parentOf(pid);
  if (nanny === undefined || !task.processes().includes(nanny))
    throw new AwsError('NotRunning', `${task.member} does not run now.`, 409);
  const etcd = commandOf(pid);
  signal(nanny, 'SIGSTOP');
  try {
    signal(pid, 'SIGKILL');
    // A zombie until the nanny goes on, but no more writes: liveMembers does not count zombies.
    for (let tries = 0; etcdOf(task) !== undefined && tries < 200; tries += 1) await sleep(10);
    return await work(etcd);
  } finally {
    signal(nanny, 'SIGCONT');
  }
}

/** How a member's etcd was started. */
export type EtcdCommand = readonly string[];

const commandOf = (pid: number): EtcdCommand =>
  readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
