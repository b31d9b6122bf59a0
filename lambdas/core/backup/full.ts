import type { BackupReason } from '../model/backup.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { waitLong } from '../primitives/decide.ts';
import { type QuorumView, statusOf, type Voter } from '../primitives/quorum-view.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { holderOf, lastOf, runningOf } from './duty.ts';
import { slotBefore } from './schedule.ts';
import { brokenStream } from './stream.ts';

/** No upload takes this long: its nanny has forgotten it, or S3 does not take it. */
const longestMs = 6 * 60 * 60_000;
/** A stream that breaks again and again costs a full backup no more often. */
const newChainMs = 5 * 60_000;
/** Users that change all the time cost no more than a part of the time. */
const usersRestMs = 60_000;
const usersRestTimes = 20;
/** Entries that a follower may be behind the furthest one: a moment's worth. */
const caughtUpEntries = 1_000;

/** The full backup that is under way, or the one that is due. */
export function decideFull(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const running = runningOf(tenant);
  const reason = running?.reason ?? dueFull(tenant, observation, now);
  if (reason === undefined) return undefined;
  const trouble = tenant.backups?.trouble;
  const leftMs = trouble === undefined ? 0 : Date.parse(trouble.until) - now.getTime();
  if (trouble !== undefined && leftMs > 0) {
    const text = `attempt ${trouble.failures} failed (${trouble.reason}); trying again at ${trouble.until}`;
    return waitLong('back-off', text, Math.ceil(leftMs / 1_000));
  }
  if (running !== undefined) {
    const { backupId } = running;
    const problem = whyLost(running, view, now);
    if (problem === 'unsure') {
      return waitLong('wait-for-member', `only one source says that ${running.member} is gone`, 5);
    }
    return problem === undefined
      ? step({ kind: 'follow-backup', backupId })
      : step({ kind: 'abandon-backup', backupId, reason: problem });
  }
  if (view.ambiguous !== undefined) return waitLong('wait-for-certainty', view.ambiguous, 30);
  const source = sourceOf(tenant, observation, view);
  if (source === undefined) {
    return waitLong('wait-for-source', 'no healthy member is up to date and sure of its quorum', 15);
  }
  return step({ kind: 'begin-backup', member: source.name, reason });
}

/** Why a full backup has to be taken now. */
export function dueFull(tenant: TenantRecord, observation: Observation, now: Date): BackupReason | undefined {
  const wanted = tenant.backups?.wanted;
  if (wanted !== undefined) return wanted.reason;
  if (tenant.status.phase === 'deleting') return undefined;
  const last = lastOf(tenant);
  const justBegun = last?.reason === 'new-chain' && now.getTime() - Date.parse(last.startedAt) < newChainMs;
  if (brokenStream(tenant, observation) !== undefined && !justBegun) return 'new-chain';
  // A new cluster has its first one at once, whatever its hour.
  if (last === undefined) return 'scheduled';
  if (haveUsersChanged(tenant, observation, last, now)) return 'users-changed';
  return Date.parse(last.startedAt) < slotBefore(tenant, now).getTime() ? 'scheduled' : undefined;
}

/** Users, roles and rights are in full backups only: without another one a restore would take back what was denied since. */
function haveUsersChanged(
  tenant: TenantRecord,
  observation: Observation,
  last: NonNullable<ReturnType<typeof lastOf>>,
  now: Date,
): boolean {
  const tookMs = Date.parse(last.endedAt) - Date.parse(last.startedAt);
  const restMs = Math.max(usersRestMs, tookMs * usersRestTimes);
  if (last.authRevision === undefined || now.getTime() - Date.parse(last.endedAt) < restMs) return false;
  const seen = Object.keys(tenant.members).map((name) => statusOf(name, tenant, observation)?.authRevision);
  return seen.some((revision) => revision !== undefined && revision > last.authRevision!);
}

function whyLost(
  { member, startedAt }: { member: string; startedAt: string },
  view: QuorumView,
  now: Date,
): string | undefined {
  const is = (some: readonly Voter[]): boolean => some.some(({ name }) => name === member);
  if (!is(view.voters)) return `${member} has left the cluster`;
  if (is(view.sick)) return `${member} is not well: ${view.problems[member] ?? 'no answer'}`;
  if (now.getTime() - Date.parse(startedAt) > longestMs) return `${member} has not finished it in 6 hours`;
  return is(view.unsure) ? 'unsure' : undefined;
}

/**
 * Who gives the backup: a healthy follower that is caught up and has nothing else to do, else the leader. Nobody whose data
 * is older than what is backed up already (S7).
 */
export function sourceOf(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
): Voter | undefined {
  if (!view.holds) return undefined;
  const self = (voter: Voter) => statusOf(voter.name, tenant, observation)?.self;
  const applied = (voter: Voter): number => self(voter)?.raftAppliedIndex ?? 0;
  const furthest = Math.max(0, ...view.healthy.map(applied));
  const newest = lastOf(tenant)?.revision ?? 0;
  const last = (voter: Voter): number[] => [
    voter === view.leader ? 1 : 0,
    voter.name in (tenant.replaceRequests ?? {}) ? 1 : 0,
    voter.name === holderOf(tenant)?.member ? 1 : 0,
  ];
  return view.healthy
    .filter((voter) => furthest - applied(voter) <= caughtUpEntries && (self(voter)?.revision ?? 0) >= newest)
    .map((voter) => ({ voter, key: [...last(voter), voter.name].join() }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))[0]?.voter;
}
