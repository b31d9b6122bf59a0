import { seenOf } from './conditions.ts';
import { judgeHashes } from './hashes.ts';
import { membersIn, quorumOf } from './members.ts';
import type { MemberIn } from './model/member.ts';
import type { TenantRecord } from './model/tenant.ts';
import { isServing, statusOf } from './primitives/quorum-view.ts';
import { type Observation, taskState } from './step.ts';

/** etcd that its nanny starts again in place gets this long: reading an 8 GB database takes tens of seconds. */
const restartMs = 120_000;
/** Its nanny answers and other members reach it, yet it does not get ready: not a failure we know. */
const stuckMs = 10 * 60_000;

export type Sickness =
  | { readonly verdict: 'well' }
  /** One source only says that it is gone. */
  | { readonly verdict: 'unsure'; readonly problem: string }
  | {
      readonly verdict: 'sick';
      readonly problem: string;
      readonly since: Date;
      /** From then on it is dead: what can be done without it is done. */
      readonly deadAt: Date;
      /** ECS says STOPPED, or its own nanny says that its data is gone: no waiting can bring it back. */
      readonly certain: boolean;
    };

export const isDead = (sickness: Sickness, now: Date): boolean =>
  sickness.verdict === 'sick' && sickness.deadAt.getTime() <= now.getTime();

/**
 * What is wrong with one member, from two sources: its own nanny and our call to it; ECS; other members' nannies. How
 * long it may last before the member is given up depends on what it is: a stopped task never comes back, an etcd
 * that starts again in place does.
 */
export function sicknessOf(
  tenant: TenantRecord,
  member: MemberIn<'voting' | 'learner'>,
  observation: Observation,
  now: Date,
): Sickness {
  const seen = seenOf(member, observation, now);
  const nanny = observation.nannies[member.name];
  if (seen === undefined) {
    const own = nanny !== undefined && !nanny.reachable ? nanny.problem : 'it was not asked';
    return { verdict: 'unsure', problem: `we cannot reach it (${own}), and no second source says so` };
  }
  const status = statusOf(member.name, tenant, observation);
  const { hashes } = observation;
  if (hashes && judgeHashes(hashes, membersIn(tenant, 'voting').length).odd.includes(member.name)) {
    return sickNow('its data is not that of the majority (HashKV)', now);
  }
  if (seen.healthy || isServing(status)) return { verdict: 'well' };
  // A corrupt cluster makes every /readyz fail; who is to blame is found out by hash.
  if (status?.self !== undefined && status.alarms.some(({ alarm }) => alarm === 'CORRUPT')) {
    return { verdict: 'well' };
  }
  const since = new Date(member.seen?.healthy === false ? (member.seen.sickSince ?? now) : now);
  const { patienceMs, certain } = patience(tenant, member, observation, now);
  const deadAt = new Date(since.getTime() + patienceMs);
  return { verdict: 'sick', problem: seen.problem ?? 'it is not ready', since, deadAt, certain };
}

/** Its own nanny and the comparison with all others are two sources, and waiting makes nothing better. */
const sickNow = (problem: string, now: Date): Sickness => ({
  verdict: 'sick',
  problem,
  since: now,
  deadAt: now,
  certain: true,
});

function patience(
  tenant: TenantRecord,
  member: MemberIn<'voting' | 'learner'>,
  observation: Observation,
  now: Date,
): { patienceMs: number; certain: boolean } {
  const unreachableMs = tenant.spec.unreachableSeconds * 1000;
  const task = taskState(member, observation, now);
  if (task === 'stopped' || task === 'none') return { patienceMs: 0, certain: true };
  const nanny = observation.nannies[member.name];
  if (!nanny?.reachable) return { patienceMs: unreachableMs, certain: false };
  switch (nanny.status.etcd.state) {
    case 'data-lost':
    case 'removed':
      return { patienceMs: 0, certain: true };
    case 'starting':
    case 'backing-off':
      return { patienceMs: restartMs, certain: false };
    default:
      return {
        patienceMs: reachedByOthers(tenant, member, observation) ? stuckMs : unreachableMs,
        certain: false,
      };
  }
}

/** True also when nobody else can be asked: then only its own nanny says that it is not well. */
function reachedByOthers(
  tenant: TenantRecord,
  member: MemberIn<'voting' | 'learner'>,
  observation: Observation,
) {
  return !Object.keys(observation.nannies).some((name) => {
    const entry = statusOf(name, tenant, observation)?.view?.members;
    return name !== member.name && entry?.some((other) => other.etcdId === member.etcdId && !other.reachable);
  });
}

export interface QuorumLoss {
  /** Voters without whom there is no majority, and why. */
  readonly lost: readonly MemberIn<'voting' | 'learner'>[];
  /** A majority is gone for certain: ECS says STOPPED, or their data is lost. */
  readonly certain: boolean;
}

/**
 * Who votes, as etcd itself last said where somebody answers. The record may be one change behind: whoever promoted or
 * removed a member died, or was slow, before it was written down; and a majority of the record is not one of etcd then.
 */
function votersByEtcd(tenant: TenantRecord, observation: Observation): MemberIn<'voting' | 'learner'>[] {
  const views = Object.keys(observation.nannies).flatMap((name) => {
    const view = statusOf(name, tenant, observation)?.view;
    return view === undefined ? [] : [view];
  });
  const listed = views.find((view) => view.linearizable)?.members;
  return membersIn(tenant, 'voting', 'learner').filter(({ state, etcdId }) =>
    state === 'voting'
      ? listed === undefined || listed.some((entry) => entry.etcdId === etcdId)
      : views.some(({ members }) => members.some((entry) => entry.etcdId === etcdId && !entry.isLearner)),
  );
}

/**
 * Whether so many voters are gone that no majority is left: gone by two sources, not merely slow to elect. Members
 * that are all there but form no quorum (cut from one another, say) do so by themselves when they can.
 */
export function quorumLoss(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
): QuorumLoss | undefined {
  const voters = votersByEtcd(tenant, observation);
  if (voters.length === 0) return undefined;
  const stay = voters.length - quorumOf(voters.length);
  const gone = voters.flatMap((voter) => {
    const sickness = sicknessOf(tenant, voter, observation, now);
    const nanny = observation.nannies[voter.name];
    const away = sickness.verdict === 'sick' && (sickness.certain || !nanny?.reachable);
    return away ? [{ voter, certain: sickness.certain }] : [];
  });
  if (gone.length <= stay) return undefined;
  return {
    lost: gone.map(({ voter }) => voter),
    certain: gone.filter(({ certain }) => certain).length > stay,
  };
}

/** `sickSince` begins when a member turns unhealthy and stays until it is well. */
export function withSickness<M extends MemberIn<'joined' | 'learner' | 'voting'>>(
  member: M,
  seen: NonNullable<M['seen']>,
  now: Date,
): M {
  const before = member.seen;
  const version = seen.version ?? before?.version;
  // Only a report writes it: the fall that it stands for is on the timeline then.
  const lastExitAt = seen.lastExitAt ?? before?.lastExitAt;
  const sickSince = seen.healthy
    ? undefined
    : before?.healthy === false
      ? (before.sickSince ?? now.toISOString())
      : now.toISOString();
  return {
    ...member,
    seen: {
      ...seen,
      ...(version !== undefined && { version }),
      ...(lastExitAt !== undefined && { lastExitAt }),
      ...(sickSince !== undefined && { sickSince }),
      ...(before?.slowSince !== undefined && { slowSince: before.slowSince }),
    },
  };
}
