import { authorityConditions } from './authority-condition.ts';
import { backupConditions } from './backup/conditions.ts';
import { clusterIdsSeen } from './cluster-ids.ts';
import { clockCondition, spaceCondition, type Verdict } from './machine-conditions.ts';
import { quorumOf, wantedMembers } from './members.ts';
import type { Condition, ConditionType } from './model/condition.ts';
import type { Member } from './model/member.ts';
import type { TenantRecord, TenantStatus } from './model/tenant.ts';
import { spreadProblem } from './spread.ts';
import { type Observation, taskEnd, taskState } from './step.ts';
import type { NannyStatus } from './wire/admin.ts';

type Seen = NonNullable<Extract<Member, { state: 'voting' }>['seen']>;

export interface Health {
  /** Members by name with what was seen of them; `undefined` where one source only says that it is gone. */
  readonly members: Readonly<Record<string, Seen | undefined>>;
  readonly conditions: Condition[];
  readonly phase: 'available' | 'degraded';
  readonly reason: string;
  readonly revision: number;
}

/**
 * What a formed cluster's state is, from its nannies and ECS. A member is called unhealthy when its own nanny says
 * so, or when two sources agree that it cannot be reached (our own call, and ECS or another member's nanny).
 */
export function assessHealth(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Health {
  const all = wantedMembers(tenant);
  // Who is on the way in counts for nothing yet: it does not vote, and an operation or a repair waits for it.
  const formed = tenant.incarnation.state === 'formed';
  const members = formed ? all.filter((member) => member.state === 'voting') : all;
  const at = now.toISOString();
  const seen = Object.fromEntries(
    all.map((member) => [member.name, seenOf(member, observation, now)] as const),
  );
  const healthy = members.filter((member) => seen[member.name]?.healthy);
  const sick = members.filter((member) => seen[member.name]?.healthy === false);
  const unconfirmed = members.filter((member) => seen[member.name] === undefined);
  const missing = tenant.spec.members - members.length;
  const quorum = quorumOf(Math.max(members.length, 1));
  const clusterIds = clusterIdsSeen(tenant, observation);
  const spreadOut = spreadProblem(
    zones,
    members.map((member) => member.zone),
  );
  const outdated = members.filter(
    (member) =>
      seen[member.name]?.version !== undefined && seen[member.name]!.version !== tenant.spec.version,
  );
  const names = (some: readonly Member[]) => some.map((member) => member.name).join(', ');
  const sickText = sick.map((member) => `${member.name}: ${seen[member.name]?.problem}`).join('; ');

  const verdict: Verdict = (type, status, reason, message) =>
    condition(tenant, at, type, status, reason, message);
  const conditions = [
    healthy.length >= quorum
      ? verdict('Ready', 'True', 'QuorumServes', `${healthy.length} of ${members.length} members serve.`)
      : healthy.length + unconfirmed.length >= quorum
        ? verdict('Ready', 'Unknown', 'MembersUnconfirmed', `No second source yet for ${names(unconfirmed)}.`)
        : verdict(
            'Ready',
            'False',
            'QuorumLost',
            `Only ${healthy.length} of ${members.length} members serve.`,
          ),
    sick.length > 0
      ? verdict('AllMembersHealthy', 'False', 'MemberUnhealthy', sickText)
      : unconfirmed.length > 0
        ? verdict(
            'AllMembersHealthy',
            'Unknown',
            'MembersUnconfirmed',
            `${names(unconfirmed)} cannot be reached; a second source has to confirm it.`,
          )
        : missing > 0
          ? verdict(
              'AllMembersHealthy',
              'False',
              'MembersMissing',
              `${members.length} of ${tenant.spec.members} members are there, all of them healthy; ${missing} more on the way.`,
            )
          : verdict('AllMembersHealthy', 'True', 'AllHealthy', `All ${members.length} members are healthy.`),
    spreadOut
      ? verdict('SpreadOverZones', 'False', 'Uneven', `${spreadOut}.`)
      : verdict('SpreadOverZones', 'True', 'Even', 'Members are spread evenly over the zones.'),
    outdated.length > 0
      ? verdict(
          'UpToDate',
          'False',
          'VersionDiffers',
          `${names(outdated)} does not run etcd ${tenant.spec.version}.`,
        )
      : verdict('UpToDate', 'True', 'VersionAsWanted', `All members run etcd ${tenant.spec.version}.`),
    spaceCondition(tenant, observation, verdict),
    healthy.length > quorum || (members.length === 1 && healthy.length === 1)
      ? verdict(
          'QuorumSafe',
          'True',
          'OneMoreMayFail',
          members.length === 1
            ? 'One member by choice: no redundancy.'
            : 'Quorum holds if one more member fails.',
        )
      : verdict(
          'QuorumSafe',
          'False',
          'NoneMayFail',
          `${healthy.length} of ${members.length} members are healthy and ${quorum} are needed.`,
        ),
    clusterIds.size > 1
      ? verdict(
          'ClusterIdConsistent',
          'False',
          'SplitBrain',
          `Members speak of clusters ${[...clusterIds].sort().join(', ')}.`,
        )
      : verdict('ClusterIdConsistent', 'True', 'OneCluster', 'All members speak of one cluster.'),
    clockCondition(observation, now, verdict),
    ...backupConditions(tenant, observation, now, verdict),
    ...authorityConditions(tenant, now, verdict),
  ];
  const degraded = sick.length > 0 || clusterIds.size > 1 || missing > 0;
  return {
    members: seen,
    conditions,
    phase:
      degraded || (tenant.status.phase === 'degraded' && unconfirmed.length > 0) ? 'degraded' : 'available',
    reason: sickText || (clusterIds.size > 1 ? 'members speak of different clusters' : names(unconfirmed)),
    revision: Math.max(0, ...Object.values(observation.nannies).map(revisionOf)),
  };
}

/** The status that follows from `health`; keeps `since` while the phase stays. */
export function statusFrom(tenant: TenantRecord, health: Health, now: Date): TenantStatus {
  const { status } = tenant;
  const since = status.phase === health.phase ? status.since : now.toISOString();
  return health.phase === 'available'
    ? { phase: 'available', conditions: health.conditions, since }
    : { phase: 'degraded', conditions: health.conditions, since, reason: health.reason };
}

/**
 * What was seen of one member; undefined where one source only says that it is gone. A member that can be reached
 * tells of itself; else two sources have to agree.
 */
export function seenOf(member: Member, observation: Observation, now: Date): Seen | undefined {
  const at = now.toISOString();
  const nanny = observation.nannies[member.name];
  const task = taskState(member, observation, now);
  if (nanny?.reachable) {
    const { etcd, self } = nanny.status;
    const healthy = etcd.state === 'ready' && self !== undefined;
    return {
      at: nanny.status.at,
      healthy,
      isLeader: healthy && self.leader === self.etcdId,
      ...(self && { version: self.version }),
      ...(!healthy && { problem: etcdProblem(etcd) }),
    };
  }
  const gone = { at, healthy: false, isLeader: false };
  if (task === 'stopped' || task === 'none') {
    return { ...gone, problem: `its task has stopped (${taskEnd(member, observation)})` };
  }
  if (task === 'stopping') return { ...gone, problem: 'its task is being stopped' };
  if (nanny !== undefined && unreachableForOthers(member, observation)) {
    return { ...gone, problem: `neither we nor other members reach it (${nanny.problem})` };
  }
  return undefined;
}

/**
 * What is wrong with an etcd whose nanny does not call it well. The same words for reports and looks: each difference
 * would be a save and one more look. An end explains the states that follow from it, not those of the run after it.
 */
export function etcdProblem({ state, lastExit }: NannyStatus['etcd']): string {
  if (state === 'ready') return 'etcd is ready, but does not tell its status';
  const explains = lastExit !== undefined && state !== 'not-ready';
  return `etcd is ${state}${explains ? `: ${lastExit.reason}` : ''}`;
}

function unreachableForOthers(member: Member, observation: Observation): boolean {
  if (!('etcdId' in member) || member.etcdId === undefined) return false;
  return Object.entries(observation.nannies).some(
    ([name, nanny]) =>
      name !== member.name &&
      nanny.reachable &&
      nanny.status.view?.members.some((other) => other.etcdId === member.etcdId && !other.reachable),
  );
}

function condition(
  tenant: TenantRecord,
  at: string,
  type: ConditionType,
  status: Condition['status'],
  reason: string,
  message: string,
): Condition {
  const before = tenant.status.conditions.find((entry) => entry.type === type);
  return { type, status, reason, message, since: before?.status === status ? before.since : at };
}

const revisionOf = (nanny: Observation['nannies'][string]): number =>
  nanny.reachable ? (nanny.status.self?.revision ?? 0) : 0;
