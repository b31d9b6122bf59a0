import { clusterIdsSeen } from '../cluster-ids.ts';
import { seenOf } from '../conditions.ts';
import { judgeHashes } from '../hashes.ts';
import { membersIn, membersOf, peerUrl, quorumOf } from '../members.ts';
import type { Member, MemberIn } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { Observation } from '../step.ts';
import type { MemberSeen, NannyStatus } from '../wire/admin.ts';

export type Voter = MemberIn<'voting'>;

/** A member that has not become ready by then, after its join or its swap, is not coming up, it is sick. */
const comingUpMs = 10 * 60_000;
/** An etcd that was restarted on purpose: as long as sickness has patience with one that its nanny starts again. */
const restartMs = 2 * 60_000;

export interface QuorumView {
  /**
   * The record's voting members that etcd lists too (or cannot be asked about), in the order of their names; each is in
   * exactly one of healthy, sick, coming and unsure.
   */
  readonly voters: readonly Voter[];
  readonly healthy: readonly Voter[];
  /** Its own nanny says so, or two sources do. */
  readonly sick: readonly Voter[];
  /** Promoted or restarted on purpose a moment ago: its etcd is on its way to ready. */
  readonly coming: readonly Voter[];
  /** One source only says that it is gone. */
  readonly unsure: readonly Voter[];
  /** On record as voters, but etcd lists them no more: somebody died between the removal and the record. */
  readonly vanished: readonly Voter[];
  /** Of the present voters. */
  readonly quorum: number;
  readonly holds: boolean;
  /** On whom all healthy voters agree. Undefined also when its nanny does not answer. */
  readonly leader: Voter | undefined;
  /** etcd's own member list, read with a quorum behind it; the leader's nanny is preferred. */
  readonly listed: readonly MemberSeen[] | undefined;
  /** etcd's downgrade is enabled: nobody can join (etcd-facts, section 6). */
  readonly downgradeTo: string | undefined;
  /** Why nothing may be decided from this view. */
  readonly ambiguous: string | undefined;
  readonly problems: Readonly<Record<string, string>>;
}

export const statusOf = (name: string, tenant: TenantRecord, observation: Observation) => {
  const nanny = observation.nannies[name];
  return nanny?.reachable && nanny.status.incarnation === tenant.incarnation.number
    ? nanny.status
    : undefined;
};

/** Ready, a voter, and it knows a leader. A CORRUPT alarm makes every /readyz fail while the cluster goes on; an etcd restarted under it stays `starting`. */
export const isServing = (status: NannyStatus | undefined): boolean =>
  (status?.etcd.state === 'ready' ||
    ((status?.etcd.state === 'not-ready' || status?.etcd.state === 'starting') && hasCorruptAlarm(status))) &&
  status.self !== undefined &&
  !status.self.isLearner &&
  status.self.leader !== '0';

const hasCorruptAlarm = ({ alarms }: NannyStatus): boolean => alarms.some(({ alarm }) => alarm === 'CORRUPT');

/** What all plans of a formed cluster look at first. */
export function quorumView(tenant: TenantRecord, observation: Observation, now: Date): QuorumView {
  const recorded = membersIn(tenant, 'voting');
  const serving = recorded.filter((voter) => isServing(statusOf(voter.name, tenant, observation)));
  const statuses = serving.flatMap((voter) => statusOf(voter.name, tenant, observation) ?? []);
  const leaders = new Set(statuses.map((status) => status.self!.leader));
  const leader = leaders.size === 1 ? serving.find((voter) => leaders.has(voter.etcdId)) : undefined;
  const leading = leader && statusOf(leader.name, tenant, observation);
  const listed = [leading, ...statuses].find((status) => status?.view?.linearizable)?.view?.members;
  const vanished = recorded.filter(
    (voter) =>
      listed !== undefined &&
      !serving.includes(voter) &&
      !listed.some((entry) => entry.etcdId === voter.etcdId),
  );
  const voters = recorded.filter((voter) => !vanished.includes(voter));
  const problems: Record<string, string> = {};
  const sorted = {
    healthy: [] as Voter[],
    sick: [] as Voter[],
    coming: [] as Voter[],
    unsure: [] as Voter[],
  };
  for (const voter of voters) {
    const { condition, problem } = conditionOf(voter, tenant, observation, now);
    sorted[condition].push(voter);
    if (problem !== undefined) problems[voter.name] = problem;
  }
  const downgrade = statuses.find((status) => status.downgrade?.enabled)?.downgrade;
  const quorum = quorumOf(Math.max(voters.length, 1));
  return {
    voters,
    ...sorted,
    vanished,
    quorum,
    holds: sorted.healthy.length >= quorum,
    leader,
    listed,
    downgradeTo: downgrade?.targetVersion,
    ambiguous: ambiguity(tenant, observation, leaders, listed),
    problems,
  };
}

function conditionOf(
  voter: Voter,
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
): { condition: 'healthy' | 'sick' | 'coming' | 'unsure'; problem?: string } {
  const { hashes } = observation;
  if (hashes && judgeHashes(hashes, membersIn(tenant, 'voting').length).odd.includes(voter.name)) {
    return { condition: 'sick', problem: 'its data is not that of the majority (HashKV)' };
  }
  const status = statusOf(voter.name, tenant, observation);
  if (isServing(status)) return { condition: 'healthy' };
  if (
    status !== undefined &&
    ['waiting', 'starting', 'learner'].includes(status.etcd.state) &&
    isComing(voter, now)
  ) {
    return { condition: 'coming', problem: `etcd is ${status.etcd.state}` };
  }
  // Ready, but promoted or without a leader a moment ago: elections and a late publish pass by themselves.
  if (status?.etcd.state === 'ready') return { condition: 'unsure', problem: 'it sees no leader' };
  const seen = seenOf(voter, observation, now);
  if (seen === undefined) return { condition: 'unsure', problem: 'only one source says that it is gone' };
  return { condition: 'sick', problem: seen.problem ?? 'it is not ready' };
}

function isComing({ joinedAt, made }: Voter, now: Date): boolean {
  const within = (since: string, ms: number): boolean => now.getTime() - Date.parse(since) < ms;
  return within(joinedAt, comingUpMs) || (made?.swappedAt !== undefined && within(made.swappedAt, restartMs));
}

function ambiguity(
  tenant: TenantRecord,
  observation: Observation,
  leaders: ReadonlySet<string>,
  listed: readonly MemberSeen[] | undefined,
): string | undefined {
  if (tenant.incarnation.state !== 'formed') return 'the cluster has not formed';
  if (clusterIdsSeen(tenant, observation).size > 1) return 'members speak of different clusters';
  if (leaders.size > 1) return `members name different leaders (${[...leaders].sort().join(', ')})`;
  if (listed === undefined) return 'no member can read the member list with a quorum behind it';
  const stranger = listed.find((entry) => ownerOf(tenant, entry) === undefined);
  if (stranger) {
    return `etcd lists ${stranger.name || 'a member'} (${stranger.etcdId}, ${stranger.peerUrls.join(' ')}), which no record knows`;
  }
  return undefined;
}

/** The member of the record that this entry of etcd's list is: by id, or by address where the id was not saved. */
export function ownerOf(tenant: TenantRecord, entry: Pick<MemberSeen, 'etcdId' | 'peerUrls'>) {
  const members = membersOf(tenant);
  return (
    members.find((member) => 'etcdId' in member && member.etcdId === entry.etcdId) ??
    members.find((member) => addressed(member, entry))
  );
}

const addressed = (member: Member, entry: Pick<MemberSeen, 'peerUrls'>): boolean =>
  'ip' in member && member.ip !== undefined && entry.peerUrls.includes(peerUrl(member.ip));

/** The entry of etcd's list that is this member. */
export const entryOf = (
  tenant: TenantRecord,
  listed: readonly MemberSeen[] | undefined,
  name: string,
): MemberSeen | undefined => listed?.find((entry) => ownerOf(tenant, entry)?.name === name);

/** On record as a learner, and a voter as etcd says: promoted, and nobody lived or was quick enough to write it down. */
export const votesAlready = (tenant: TenantRecord, { listed }: QuorumView, name: string): boolean =>
  tenant.members[name]?.state === 'learner' && entryOf(tenant, listed, name)?.isLearner === false;

/** How `sick` and `unsure` voters are told of. */
export const tellOf = (view: QuorumView, voters: readonly Voter[]): string =>
  voters.map(({ name }) => `${name}${view.problems[name] ? ` (${view.problems[name]})` : ''}`).join(', ');
