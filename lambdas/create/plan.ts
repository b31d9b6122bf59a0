import { backoffWait } from '../core/backoff.ts';
import { dueShard } from '../core/due-shard.ts';
import { membersIn, membersOf, wantedMembers } from '../core/members.ts';
import type { Member } from '../core/model/member.ts';
import type { Incarnation, TenantRecord } from '../core/model/tenant.ts';
import type { TaskView } from '../core/ports.ts';
import { chooseZones } from '../core/spread.ts';
import { type Decision, type Observation, step, taskEnd, taskState } from '../core/step.ts';

/** A task that runs but has not joined by then never will (Fargate pulls an image in about a minute). */
const joinLimitMs = 10 * 60_000;
/** etcd forms a quorum within a few seconds; a member that cannot is not going to. */
const bootLimitMs = 2 * 60_000;

type Booting = Extract<Incarnation, { state: 'booting' }>;

/** From a spec to a cluster that serves. Pure: see `reconcile` for how it is driven. */
export function planCreate(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision {
  if (tenant.status.phase !== 'creating') {
    return step({ kind: 'close-operation', message: closing(tenant) });
  }
  const outgoing = membersIn(tenant, 'leaving');
  if (outgoing.length > 0) return clearAway(outgoing, observation, now);
  if (tenant.incarnation.state === 'formed') {
    return step({ kind: tenant.nameServiceId === undefined ? 'create-name' : 'publish' });
  }
  const lost = findLost(tenant, observation, now);
  if (lost !== undefined) {
    return step({ kind: 'abandon-incarnation', incarnation: tenant.incarnation.number, reason: lost });
  }
  const waiting = backoffWait(tenant, now);
  if (waiting !== undefined) return waiting;
  const wanted = wantedMembers(tenant);
  const missing = tenant.spec.members - wanted.length;
  if (missing > 0) {
    const placed = wanted.map((member) => member.zone);
    const turn = dueShard(tenant.tenantId) % zones.length;
    return step({ kind: 'request-members', zones: chooseZones(zones, placed, missing, turn) });
  }
  const requested = membersIn(tenant, 'requested');
  if (requested.length > 0) {
    return step({ kind: 'launch-members', members: requested.map((member) => member.name) });
  }
  // Done while the tasks are coming up: join answers `wait` until there is a certificate authority.
  if (tenant.pki === undefined) return step({ kind: 'issue-pki' });
  if (tenant.nameServiceId === undefined) return step({ kind: 'create-name' });
  return tenant.incarnation.state === 'booting'
    ? awaitQuorum(tenant, tenant.incarnation, observation)
    : awaitJoin(wanted);
}

function awaitJoin(wanted: readonly Member[]): Decision {
  const joined = wanted.filter((member) => member.state === 'joined').length;
  return {
    kind: 'wait',
    name: 'wait-for-members',
    reason: `${joined} of ${wanted.length} members have joined`,
    recheckSeconds: 5,
    soon: true,
  };
}

/** Waits until every member is ready, so that none is left behind by the latch: after it nobody may boot as new. */
function awaitQuorum(tenant: TenantRecord, incarnation: Booting, observation: Observation): Decision {
  const joined = membersIn(tenant, 'joined');
  const etcdIds: Record<string, string> = {};
  let clusterId: string | undefined;
  for (const member of joined) {
    const nanny = observation.nannies[member.name];
    if (!nanny?.reachable || nanny.status.etcd.state !== 'ready') continue;
    const { self } = nanny.status;
    if (self === undefined || self.leader === '0' || nanny.status.incarnation !== incarnation.number)
      continue;
    etcdIds[member.name] = self.etcdId;
    clusterId ??= self.clusterId;
  }
  const ready = Object.keys(etcdIds).length;
  const all = Object.keys(incarnation.initialCluster).length;
  if (clusterId === undefined || ready < all || new Set(Object.values(etcdIds)).size < all) {
    const reason = `${ready} of ${all} members are ready`;
    return { kind: 'wait', name: 'wait-for-quorum', reason, recheckSeconds: 2, soon: true };
  }
  return step({ kind: 'latch-cluster', incarnation: incarnation.number, clusterId, etcdIds });
}

/** Why the present attempt cannot succeed any more. Before the latch nothing is worth saving: start again. */
function findLost(tenant: TenantRecord, observation: Observation, now: Date): string | undefined {
  const { incarnation } = tenant;
  for (const member of wantedMembers(tenant)) {
    if (member.state === 'requested') continue;
    const task = taskState(member, observation, now);
    if (task === 'stopped' || task === 'stopping') {
      return `the task of ${member.name} stopped: ${taskEnd(member, observation)}`;
    }
    const nanny = observation.nannies[member.name];
    if (nanny?.reachable && ['data-lost', 'removed'].includes(nanny.status.etcd.state)) {
      const exit = nanny.status.etcd.lastExit?.reason;
      return `etcd of ${member.name} cannot start${exit === undefined ? '' : `: ${exit}`}`;
    }
    if (member.state === 'launching' && now.getTime() - Date.parse(member.launchedAt) > joinLimitMs) {
      return `${member.name} has not joined within ${joinLimitMs / 60_000} minutes of its launch`;
    }
  }
  if (incarnation.state === 'booting' && now.getTime() - Date.parse(incarnation.bootedAt) > bootLimitMs) {
    return `not all members were ready within ${bootLimitMs / 60_000} minutes of booting`;
  }
  return undefined;
}

/** Stops what is left of an attempt that was given up; new members come only when the old ones are surely gone. */
function clearAway(
  outgoing: ReturnType<typeof membersIn<'leaving'>>,
  observation: Observation,
  now: Date,
): Decision {
  const names = new Set(outgoing.map((member) => member.name));
  const running = new Set(
    outgoing
      .filter((member) => ['unknown', 'coming', 'running'].includes(taskState(member, observation, now)))
      .map((member) => member.taskArn!),
  );
  const theirs = Object.values(observation.tasks).filter(
    (task) => task.memberName !== undefined && names.has(task.memberName) && task.lastStatus !== 'STOPPED',
  );
  for (const task of theirs.filter((view: TaskView) => view.desiredStatus !== 'STOPPED'))
    running.add(task.taskArn);
  if (running.size > 0) {
    return step({ kind: 'stop-tasks', taskArns: [...running].sort(), reason: outgoing[0]!.reason });
  }
  const stopping = outgoing.filter((member) => taskState(member, observation, now) === 'stopping');
  if (stopping.length > 0 || theirs.length > 0) {
    const reason = `${Math.max(stopping.length, theirs.length)} tasks of the attempt given up are stopping`;
    return { kind: 'wait', name: 'wait-for-stop', reason, recheckSeconds: 5, soon: true };
  }
  return step({ kind: 'forget-members', members: [...names] });
}

function closing(tenant: TenantRecord): string {
  const members = membersOf(tenant).length;
  return tenant.status.phase === 'degraded'
    ? `Created with ${members} members, but degraded: ${tenant.status.reason}.`
    : `Created: ${members} ${members === 1 ? 'member serves' : 'members serve'}.`;
}
