import { existsSync } from 'node:fs';
import path from 'node:path';
import { AwsError } from '../aws/service.ts';
import type { ChaosTask, EcsChaos } from '../services/ecs/index.ts';
import { programOf } from '../services/ecs/process-table.ts';

/** Tag by which the control plane names a task's member. */
const memberTag = 'etcd-nanny:member';

export interface MemberTask extends ChaosTask {
  readonly member: string;
}

export const memberTasks = (ecs: Pick<EcsChaos, 'tasks'>): MemberTask[] =>
  ecs.tasks().flatMap((task) => {
    const member = task.tags[memberTag];
    return member === undefined ? [] : [{ ...task, member }];
  });

/** Members and workers of a tenant. @throws AwsError when it has none */
export function tenantTasks(ecs: Pick<EcsChaos, 'tasks'>, tenant: string): ChaosTask[] {
  const all = ecs.tasks();
  const found = all.filter((task) => task.tags['etcd-nanny:tenant'] === tenant);
  if (found.length > 0) return found;
  const names = [...new Set(all.map((task) => task.tags['etcd-nanny:tenant'] ?? ''))].filter(Boolean);
  throw new AwsError(
    'NotFound',
    `No task of a tenant "${tenant}" is there. There are: ${names.join(', ') || 'none'}.`,
    404,
  );
}

/** @throws AwsError that names the members there are */
export function requireMember(ecs: Pick<EcsChaos, 'tasks'>, name: string): MemberTask {
  const all = memberTasks(ecs);
  const found = all.find(({ member }) => member === name);
  if (found) return found;
  const names = all.map(({ member }) => member).join(', ');
  throw new AwsError(
    'NotFound',
    `No task of a member "${name}" is there. There are: ${names || 'none'}.`,
    404,
  );
}

/** The etcd of a member: a child of its nanny. Undefined while there is none. */
export const etcdOf = (task: MemberTask): number | undefined =>
  task.processes().find((pid) => path.basename(programOf(pid) ?? '') === 'etcd');

/** @throws AwsError when it does not run */
export function requireEtcd(task: MemberTask): number {
  const pid = etcdOf(task);
  if (pid !== undefined) return pid;
  throw new AwsError('NotRunning', `No etcd of ${task.member} runs now.`, 409);
}

/** Folder of the member on its volume: `etcd/member/{snap,wal}` is below it. */
export function memberFolder(task: MemberTask): { volume: string; folder: string } {
  for (const volume of task.volumes) {
    const folder = path.join(volume, task.member);
    if (existsSync(folder)) return { volume, folder };
  }
  throw new AwsError('NotRunning', `${task.member} has no data on its disk yet.`, 409);
}

/** Harmless when the process is gone. */
export function signal(target: number, name: NodeJS.Signals): void {
  try {
    process.kill(target, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
