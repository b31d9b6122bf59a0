import { membersOf } from '../members.ts';
import type { RestoreSource } from '../model/restore.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step, taskState } from '../step.ts';
import { waitSoon } from './decide.ts';

/**
 * Every task of the tenant has to be STOPPED, and no name to be left (S5). Needs an observation with listed tasks and the
 * names registered.
 *
 * @returns undefined when nothing is left of the old cluster
 */
export function fence(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  reason = 'a new incarnation of the cluster replaces this one',
): Decision | undefined {
  const running = new Set<string>();
  let stopping = 0;
  for (const member of membersOf(tenant)) {
    const state = taskState(member, observation, now);
    if (['unknown', 'coming', 'running'].includes(state) && 'taskArn' in member) running.add(member.taskArn!);
    if (state === 'stopping') stopping += 1;
  }
  for (const task of Object.values(observation.tasks)) {
    if (task.lastStatus !== 'STOPPED' && task.desiredStatus !== 'STOPPED') running.add(task.taskArn);
  }
  if (running.size > 0) return step({ kind: 'stop-tasks', taskArns: [...running].sort(), reason });
  // While they stop: nobody should be sent to them any more.
  if (observation.names.length > 0) {
    return step({ kind: 'deregister-names', members: [...observation.names].sort() });
  }
  const left = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED').length;
  if (stopping > 0 || left > 0) {
    return waitSoon('fence', `${Math.max(stopping, left)} old tasks are not confirmed STOPPED yet`, 5);
  }
  return undefined;
}

/** Fenced, then anew from this source. */
export const replaceIncarnation = (
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  source: RestoreSource,
): Decision =>
  fence(tenant, observation, now) ??
  step({ kind: 'new-incarnation', incarnation: tenant.incarnation.number, source });
