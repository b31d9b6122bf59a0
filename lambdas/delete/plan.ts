import { backoffWait } from '../core/backoff.ts';
import { awaitFinal } from '../core/backup/final.ts';
import { membersIn, membersOf } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { type Decision, type Observation, step, taskState } from '../core/step.ts';
import { workTask } from '../core/work/follow-work.ts';

/**
 * The final backup first, if one is wanted: until then nothing is touched. Then names, so that clients go away; then every task of the tenant, also those that no record owns; then disks;
 * the record last, when ECS has confirmed that nothing runs any more. Works from every phase.
 */
export function planDelete(tenant: TenantRecord, observation: Observation, now: Date): Decision {
  const waiting = backoffWait(tenant, now);
  if (waiting !== undefined) return waiting;
  const unsaved = awaitFinal(tenant, now);
  if (unsaved !== undefined) return unsaved;
  if (observation.names.length > 0) {
    return step({ kind: 'deregister-names', members: [...observation.names].sort() });
  }
  const unseen = membersOf(tenant).flatMap((member) =>
    taskState(member, observation, now) === 'unknown' && 'taskArn' in member ? [member.taskArn!] : [],
  );
  const { work } = tenant;
  if (work !== undefined && workTask(work, observation, now) === 'unknown') unseen.push(work.taskArn!);
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
  if (work !== undefined && work.taskArn === undefined) launches.push(Date.parse(work.requestedAt));
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
  const disks = removeDisks(tenant, observation, now);
  if (disks) return disks;
  if (tenant.nameServiceId !== undefined) return step({ kind: 'delete-name' });
  return step({ kind: 'remove-record' });
}

/** Without the record nobody would know whose they are for an hour (the sweep then removes what is nobody's). */
function removeDisks(tenant: TenantRecord, observation: Observation, now: Date): Decision | undefined {
  const { disks = [] } = observation;
  const free = disks.filter(({ state }) => state !== 'attached').map(({ volumeId }) => volumeId);
  if (free.length > 0) return step({ kind: 'remove-disks', volumeIds: free });
  const since = tenant.status.phase === 'deleting' ? Date.parse(tenant.status.since) : now.getTime();
  if (disks.length === 0 || now.getTime() - since > detachMs) return undefined;
  return {
    kind: 'wait',
    name: 'wait-for-disks',
    reason: `${disks.length} disks are on their way off their tasks`,
    recheckSeconds: 5,
    soon: true,
  };
}

/** A disk that is still in use so long after, though no task is left, is the sweep's. */
const detachMs = 15 * 60_000;

/** ListTasks is eventually consistent; a few seconds is what it takes. Later comers leave by themselves: join tells them. */
const launchSettleMs = 10_000;
