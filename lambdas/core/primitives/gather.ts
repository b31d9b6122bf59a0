import { backoffWait } from '../backoff.ts';
import { dueShard } from '../due-shard.ts';
import { membersIn, wantedMembers } from '../members.ts';
import type { Member } from '../model/member.ts';
import type { Incarnation, TenantRecord } from '../model/tenant.ts';
import { chooseZones } from '../spread.ts';
import { type Decision, type Observation, step, taskEnd, taskState } from '../step.ts';
import { waitForRecord } from './decide.ts';

/** A task that runs but has not joined by then never will (Fargate pulls an image in about a minute). */
const joinLimitMs = 10 * 60_000;
/** etcd forms a quorum within a few seconds; a member that cannot is not going to. */
const bootLimitMs = 2 * 60_000;
/** A member that restores first fetches its data: 8 GB at 50 MB/s take under three minutes. */
const restoreLimitMs = 15 * 60_000;

type Booting = Extract<Incarnation, { state: 'booting' }>;

/**
 * The coordinated bootstrap of an incarnation, empty or restored: all members at once, the same initial cluster for
 * all, the latch when every one of them is ready. Whoever is lost before the latch takes the attempt with it.
 *
 * @param meanwhile what can be done while the tasks come up
 */
export function gather(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
  meanwhile: () => Decision | undefined = () => undefined,
): Decision {
  const lost = findLost(tenant, observation, now);
  if (lost !== undefined) {
    return step({ kind: 'abandon-incarnation', incarnation: tenant.incarnation.number, reason: lost });
  }
  const hold = backoffWait(tenant, now);
  if (hold) return hold;
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
  const other = meanwhile();
  if (other) return other;
  return tenant.incarnation.state === 'booting'
    ? awaitQuorum(tenant, tenant.incarnation, observation)
    : awaitJoin(wanted);
}

function awaitJoin(wanted: readonly Member[]): Decision {
  const joined = wanted.filter((member) => member.state === 'joined').length;
  return waitForRecord('wait-for-members', `${joined} of ${wanted.length} members have joined`, 5);
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
  if (incarnation.state !== 'booting') return undefined;
  const limitMs = incarnation.restore === undefined ? bootLimitMs : restoreLimitMs;
  return now.getTime() - Date.parse(incarnation.bootedAt) > limitMs
    ? `not all members were ready within ${limitMs / 60_000} minutes of booting`
    : undefined;
}
