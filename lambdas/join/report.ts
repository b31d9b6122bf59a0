import { holderOf } from '../core/backup/duty.ts';
import { etcdProblem } from '../core/conditions.ts';
import { dutyOf } from '../core/duty.ts';
import { fullShare } from '../core/machine-conditions.ts';
import { withMembers } from '../core/members.ts';
import type { Member } from '../core/model/member.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { isSlow } from '../core/remediation/gray.ts';
import { withSickness } from '../core/sickness.ts';
import { updateTenant } from '../core/update-tenant.ts';
import type { NannyStatus } from '../core/wire/admin.ts';
import type { ReportAnswer, ReportRequest } from '../core/wire/join.ts';
import { admit, NotThisTaskError } from './admit.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';
import { tell } from './tell.ts';

/**
 * A revision that grew by less is not worth a write of its own. A restore goes far beyond the highest revision
 * (1e9), so that this much does not matter to it.
 */
const revisionStep = 10_000;

/** "This has changed." Written only when it differs from the record; looked at only when it matters. */
export async function report(
  deps: JoinDeps,
  request: ReportRequest,
  caller: JoinCaller,
): Promise<ReportAnswer> {
  const { status } = request;
  if (status.tenantId !== request.tenantId || status.memberName !== request.memberName) {
    throw new NotThisTaskError(
      `The report speaks of ${status.memberName} of ${status.tenantId}, not of its sender ${request.memberName}.`,
    );
  }
  const admission = await admit(deps, request, caller);
  if (admission.kind === 'leave') return { leave: true, reason: admission.reason };
  if (admission.kind !== 'member') return { leave: false };
  const before = admission.tenant;
  let fall: string | undefined;
  const { tenant, saved } = await updateTenant(deps, before, (stored) => {
    fall = fallOf(stored, status);
    return withSeen(stored, status, deps);
  });
  if (tenant === undefined) return { leave: true, reason: 'the tenant has been deleted' };
  // Delete watches the tasks themselves.
  if (tenant.status.phase === 'deleting') return { leave: false };
  if ((saved && differs(before, tenant, status.memberName)) || matters(tenant, status)) {
    const duty = dutyOf(tenant);
    // Backups are taken beside everything else: whoever repairs must not miss the news for one.
    await deps.dispatcher.look(tenant.tenantId, duty === 'backup' ? 'sweep' : duty);
  }
  if (saved && fall !== undefined) await tell(deps, status, fall);
  return { leave: false };
}

function withSeen(stored: TenantRecord, status: NannyStatus, deps: JoinDeps): TenantRecord | undefined {
  const member = stored.members[status.memberName];
  if (member?.state !== 'joined' && member?.state !== 'learner' && member?.state !== 'voting')
    return undefined;
  if (isOldNews(member.seen?.at, status.at)) return undefined;
  const { self, etcd } = status;
  const healthy = etcd.state === 'ready' && self !== undefined;
  const version = self?.version ?? member.seen?.version;
  const lastExitAt = etcd.lastExit?.at ?? member.seen?.lastExitAt;
  const seen = {
    at: status.at,
    healthy,
    isLeader: healthy && self.leader === self.etcdId,
    ...(version !== undefined && { version }),
    ...(!healthy && { problem: etcdProblem(etcd) }),
    ...(lastExitAt !== undefined && { lastExitAt }),
  };
  const revision = self?.revision ?? 0;
  if (same(member.seen, seen) && revision < stored.highestRevision + revisionStep) return undefined;
  return {
    ...withMembers(stored, [withSickness(member, seen, deps.clock.now())]),
    highestRevision: Math.max(stored.highestRevision, revision),
  };
}

/** Clocks that differ by more are wrong, and then nothing can be said about what was first. */
const clockToleranceMs = 60_000;

/**
 * A report that was long under way must not take the place of what a function has seen since. Both times are the
 * nanny's own, but for members that could not be reached.
 */
function isOldNews(seenAt: string | undefined, reportedAt: string): boolean {
  if (seenAt === undefined) return false;
  const behind = Date.parse(seenAt) - Date.parse(reportedAt);
  return behind > 0 && behind < clockToleranceMs;
}

/**
 * An etcd that was well until it fell. It may be back before anybody has looked, so that no condition ever shows it;
 * one that falls again and again without getting well in between is told by its condition.
 */
function fallOf(stored: TenantRecord, { memberName, etcd }: NannyStatus): string | undefined {
  const seen = seenOf(stored, memberName);
  const exit = etcd.lastExit;
  if (exit === undefined || seen?.healthy !== true || seen.lastExitAt === exit.at) return undefined;
  const then = ['data-lost', 'removed', 'stopped'].includes(etcd.state)
    ? 'it is not started again on this disk'
    : 'its nanny starts it again on the same disk';
  return `${memberName}: ${exit.reason}; ${then}.`;
}

type Seen = Extract<Member, { state: 'voting' }>['seen'];

function same(a: Seen, b: Seen): boolean {
  return (
    a?.healthy === b?.healthy &&
    a?.isLeader === b?.isLeader &&
    a?.version === b?.version &&
    a?.problem === b?.problem &&
    a?.lastExitAt === b?.lastExitAt
  );
}

const seenOf = (tenant: TenantRecord, name: string): Seen => {
  const member = tenant.members[name];
  return member !== undefined && 'seen' in member ? member.seen : undefined;
};

/** While a cluster boots, only the last member that turns ready brings create forward; later every change is looked at. */
function differs(before: TenantRecord, after: TenantRecord, name: string): boolean {
  if (same(seenOf(before, name), seenOf(after, name))) return false;
  if (after.status.phase !== 'creating') return true;
  return Object.keys(after.members).every((each) => seenOf(after, each)?.healthy === true);
}

/** Worth a look even if the record stays as it is. */
function matters(tenant: TenantRecord, status: NannyStatus): boolean {
  if (status.etcd.state === 'data-lost' || status.etcd.state === 'removed') return true;
  // Told on change only: NOSPACE and CORRUPT do not wait for the next sweep.
  if (status.alarms.length > 0) return true;
  if (isNewsOfStream(tenant, status)) return true;
  if (status.readProblem !== undefined || isShortOfSpace(status) || isSlow(status.latency)) return true;
  const unreachable = (status.view?.members ?? []).filter((other) => !other.reachable);
  return unreachable.some((other) =>
    Object.values(tenant.members).some(
      (member) =>
        member.state === 'voting' && member.etcdId === other.etcdId && member.seen?.healthy === true,
    ),
  );
}

/** What is on its way to S3 does not get there, gets there again, or cannot be continued. */
function isNewsOfStream(tenant: TenantRecord, { memberName, backup }: NannyStatus): boolean {
  const holder = holderOf(tenant);
  if (backup === undefined || holder?.member !== memberName || holder.chain !== backup.chain) return false;
  return backup.broken !== undefined || (backup.problem === undefined) !== (holder.problem === undefined);
}

/** Before etcd raises NOSPACE, which at 200 writes a second can be a minute later. */
const isShortOfSpace = ({ self, disk }: NannyStatus): boolean =>
  (self?.dbSizeQuota !== undefined && self.dbSize > self.dbSizeQuota * fullShare) ||
  (disk !== undefined && disk.totalBytes - disk.freeBytes > disk.totalBytes * fullShare);
