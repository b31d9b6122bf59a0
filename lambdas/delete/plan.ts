import { backoffWait } from '../core/backoff.ts';
import { membersIn, membersOf } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { type Decision, type Observation, step, taskState } from '../core/step.ts';

/**
 * Names first, so that clients go away; then every task of the tenant, also those that no record owns; the record
 * last, when ECS has confirmed that nothing runs any more. Works from every phase.
 */
export function planDelete(tenant: TenantRecord, observation: Observation, now: Date): Decision {
  const waiting = backoffWait(tenant, now);
  if (waiting !== undefined) return waiting;
  if (observation.names.length > 0) {
    return step({ kind: 'deregister-names', members: [...observation.names].sort() });
  }
  const unseen = membersOf(tenant).flatMap((member) =>
    taskState(member, observation, now) === 'unknown' && 'taskArn' in member ? [member.taskArn!] : [],
  );
  const alive = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED');
  const toStop = [
    ...alive.filter((task) => task.desiredStatus !== 'STOPPED').map((task) => task.taskArn),
    ...unseen,
  ];
  if (toStop.length > 0) {
    return step({ kind: 'stop-tasks', taskArns: toStop.sort(), reason: 'the tenant is being deleted' });
  }
  if (alive.length > 0) {
    return {
      kind: 'wait',
      name: 'wait-for-stop',
      reason: `${alive.length} tasks are stopping`,
      recheckSeconds: 5,
      soon: true,
    };
  }
  // A launch whose answer nobody lived to save may still surface: give ECS's list a moment to show it.
  const launches = membersIn(tenant, 'requested').map((member) => Date.parse(member.requestedAt));
  const settled = Math.max(0, ...launches) + launchSettleMs;
  if (settled > now.getTime()) {
    return {
      kind: 'wait',
      name: 'wait-for-launches',
      reason: 'a launch may be under way',
      recheckSeconds: Math.ceil((settled - now.getTime()) / 1000),
      soon: true,
    };
  }
  if (tenant.nameServiceId !== undefined) return step({ kind: 'delete-name' });
  return step({ kind: 'remove-record' });
}

/** ListTasks is eventually consistent; a few seconds is what it takes. Later comers leave by themselves: join tells them. */
const launchSettleMs = 10_000;
