import { isGraceOver, isPastTwoThirds } from '../core/authority.ts';
import { nextBackupAt, wantsBackupLook } from '../core/backup/due.ts';
import { streamLateAt, withStream } from '../core/backup/stream.ts';
import { assessHealth, type Health, statusFrom } from '../core/conditions.ts';
import { isLeased } from '../core/lease.ts';
import { membersIn, withMembers } from '../core/members.ts';
import type { Condition } from '../core/model/condition.ts';
import type { Member } from '../core/model/member.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { detect, unownedTasks } from '../core/remediation/detect.ts';
import { slowMembers } from '../core/remediation/gray.ts';
import { sicknessOf, withSickness } from '../core/sickness.ts';
import type { Observation } from '../core/step.ts';

/** Nannies report changes and ECS tells of tasks at once; this is for what nobody tells. */
export const healthyCheckMs = 120_000;
export const sickCheckMs = 30_000;
/** What a member is away for without anything being wrong with it. */
const blipMs = 5_000;
/**
 * A look that is further ahead is left to the cadence of sick tenants: several looks of the same moment each send one, and
 * messages that live for ten minutes would pile up.
 */
const farMs = 180_000;

export interface SweepResult {
  readonly tenant: TenantRecord;
  /** What is different from before, one line each, for the timeline. */
  readonly changes: readonly { readonly message: string; readonly rule?: string }[];
  /** A remediation begins: its operation has this id. */
  readonly remediation?: NonNullable<TenantRecord['remediation']>;
  /** Whether a member that turned sick still is, and when it will be given up: each is worth a look of its own. */
  readonly lookAgainAt?: Date;
  /** S8: the tenant turned sick, or is well again. */
  readonly turned?: 'sick' | 'well';
  /** Something of its backups is to be done now, beside whatever else goes on. */
  readonly backUp: boolean;
}

export interface SweepContext {
  readonly zones: readonly string[];
  /** Id of a remediation's operation, should one begin. */
  readonly newOperationId: string;
  /** ECS was asked for all tasks of the tenant. */
  readonly listed: boolean;
}

/**
 * What a formed cluster's record should say, given what was seen, and whether its repair begins. Repairs nothing
 * itself. While another function works on the tenant the phase is that function's to change.
 */
export function planSweep(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { zones, newOperationId, listed }: SweepContext,
): SweepResult {
  const health = assessHealth(tenant, observation, now, zones);
  const unsure = health.conditions.some(({ type, status }) => status === 'Unknown' && !isOfBackups(type));
  const seen = withStream(withSlow(withSeen(tenant, health, now), observation, now), observation);
  const own = tenant.status.phase === 'available' || tenant.status.phase === 'degraded';
  const current: TenantRecord = {
    ...(listed ? withUnowned(seen, observation, now) : seen),
    status: own ? statusFrom(tenant, health, now) : { ...tenant.status, conditions: health.conditions },
    highestRevision: Math.max(tenant.highestRevision, health.revision),
  };
  const remediation = begin(current, observation, now, zones, newOperationId);
  const rotation = remediation.remediation ? {} : beginRotation(current, now, newOperationId);
  const pending = pendingDeaths(current, observation, now);
  const lateAt = streamLateAt(current);
  const stale = health.conditions.some(({ type, status }) => type === 'BackupFresh' && status === 'False');
  const calm =
    lateAt === undefined &&
    !stale &&
    health.phase === 'available' &&
    !unsure &&
    Object.keys(slowMembers(tenant, observation)).length === 0;
  const { lease, ...looked } = withSickSince({ ...current, ...remediation, ...rotation }, now);
  // While somebody holds the lease, the time is that function's: it finds the tenant again after a crash.
  const next: TenantRecord = isLeased(tenant, now)
    ? { ...looked, ...(lease && { lease }) }
    : {
        ...looked,
        nextCheckAt: new Date(
          Math.min(now.getTime() + (calm ? healthyCheckMs : sickCheckMs), nextBackupAt(current, now)),
        ).toISOString(),
      };
  const turned = turn(tenant, next);
  return {
    tenant: next,
    changes: changesOf(tenant, next),
    ...(remediation.remediation && { remediation: remediation.remediation }),
    backUp: wantsBackupLook(next, observation, now),
    ...soonest(lookAgain(next, pending, now), lateAt !== undefined && lateAt > now ? lateAt : undefined),
    ...(turned && { turned }),
  };
}

function begin(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
  operationId: string,
): Pick<TenantRecord, 'remediation' | 'replaceRequests'> {
  if (tenant.remediation !== undefined || tenant.paused !== undefined) return {};
  const finding = detect(tenant, observation, now, zones);
  if (finding === undefined) return {};
  const since = now.toISOString();
  return {
    remediation: {
      operationId,
      kind: 'remediate',
      since,
      reason: finding.reason,
      ...(finding.quorumLost && { quorumLostSince: since }),
    },
    ...(finding.replace && { replaceRequests: { ...tenant.replaceRequests, ...finding.replace } }),
  };
}

/** The certificate authority is near its end, or the grace of clients in its replacement is over. */
function beginRotation(
  tenant: TenantRecord,
  now: Date,
  operationId: string,
): Partial<Pick<TenantRecord, 'pki' | 'operation'>> {
  const { pki, operation, remediation, paused, status } = tenant;
  if (pki === undefined || (operation ?? remediation ?? paused) !== undefined) return {};
  if (status.phase !== 'available') return {};
  const begun = { operation: { operationId, kind: 'rotate-ca' as const } };
  const { rollover } = pki;
  if (rollover !== undefined) return rollover.phase !== 'grace' || isGraceOver(rollover, now) ? begun : {};
  if (!isPastTwoThirds(tenant, now)) return {};
  const since = now.toISOString();
  const reason = 'the certificate authority is past two thirds of its life';
  return { ...begun, pki: { ...pki, rollover: { phase: 'wanted', since, reason, immediately: false } } };
}

/** The next moment at which a member that is sick now counts as dead. */
function pendingDeaths(tenant: TenantRecord, observation: Observation, now: Date): Date | undefined {
  const times = membersIn(tenant, 'voting').flatMap((member) => {
    const sickness = sicknessOf(tenant, member, observation, now);
    return sickness.verdict === 'sick' && sickness.deadAt > now ? [sickness.deadAt.getTime()] : [];
  });
  return times.length > 0 ? new Date(Math.min(...times)) : undefined;
}

/**
 * A member that turned sick is looked at again a moment later: what only this look has met, its nanny never tells to be
 * over. If it lasts, the next look is for when the member is given up.
 */
function lookAgain(
  next: TenantRecord,
  pending: Date | undefined,
  now: Date,
): Pick<SweepResult, 'lookAgainAt'> {
  const since = membersIn(next, 'voting').map(({ seen: is }) => Date.parse(is?.sickSince ?? ''));
  const ago = now.getTime() - Math.max(...since.filter((at) => !Number.isNaN(at)));
  if (pending === undefined || ago > 3 * blipMs) return {};
  const soon = new Date(now.getTime() + blipMs);
  if (ago < blipMs && soon < pending) return { lookAgainAt: soon };
  return pending.getTime() - now.getTime() > farMs ? {} : { lookAgainAt: pending };
}

/** A stream that hangs is told as soon as it counts. */
const soonest = (
  again: Pick<SweepResult, 'lookAgainAt'>,
  lateAt: Date | undefined,
): Pick<SweepResult, 'lookAgainAt'> =>
  lateAt === undefined || (again.lookAgainAt !== undefined && again.lookAgainAt < lateAt)
    ? again
    : { lookAgainAt: lateAt };

/** `seen.at` moves only with what was seen: a sweep that finds nothing new leaves the member as it is. */
function withSeen(tenant: TenantRecord, health: Health, now: Date): TenantRecord {
  const members = membersIn(tenant, 'voting', 'learner').flatMap((member): Member[] => {
    const seen = health.members[member.name];
    const before = member.seen;
    const same =
      seen === undefined ||
      (before?.healthy === seen.healthy &&
        before.isLeader === seen.isLeader &&
        before.version === (seen.version ?? before.version) &&
        before.problem === seen.problem &&
        (seen.healthy || before.sickSince !== undefined));
    return same ? [] : [withSickness(member, seen, now)];
  });
  return withMembers(tenant, members);
}

/** Since when a member has been slow without a break. */
function withSlow(tenant: TenantRecord, observation: Observation, now: Date): TenantRecord {
  const slow = slowMembers(tenant, observation);
  const members = membersIn(tenant, 'voting').flatMap((member): Member[] => {
    if (member.seen === undefined) return [];
    const { slowSince, ...seen } = member.seen;
    if (member.name in slow) {
      return slowSince === undefined ? [{ ...member, seen: { ...seen, slowSince: now.toISOString() } }] : [];
    }
    return slowSince === undefined ? [] : [{ ...member, seen }];
  });
  return members.length > 0 ? withMembers(tenant, members) : tenant;
}

function withUnowned(
  { unowned: _before, ...rest }: TenantRecord,
  observation: Observation,
  now: Date,
): TenantRecord {
  const unowned = unownedTasks({ ...rest, ...(_before && { unowned: _before }) }, observation, now);
  return Object.keys(unowned).length > 0 ? { ...rest, unowned } : rest;
}

/**
 * Who is sick counts as sick until its repair is over, not only until the sick member is out: else a detector that lies
 * about one tenant after the other would never be a storm.
 */
function withSickSince({ sickSince, ...tenant }: TenantRecord, now: Date): TenantRecord {
  const sick =
    tenant.remediation?.quorumLostSince !== undefined ||
    membersIn(tenant, 'voting').some((member) => member.seen?.healthy === false);
  const still = sickSince !== undefined && tenant.remediation !== undefined;
  return sick || still ? { ...tenant, sickSince: sickSince ?? now.toISOString() } : tenant;
}

function turn(before: TenantRecord, after: TenantRecord): SweepResult['turned'] {
  if ((before.sickSince === undefined) === (after.sickSince === undefined)) return undefined;
  return after.sickSince === undefined ? 'well' : 'sick';
}

function changesOf(before: TenantRecord, after: TenantRecord): SweepResult['changes'] {
  const was = new Map(before.status.conditions.map((condition) => [condition.type, condition]));
  const changed = after.status.conditions
    .filter((condition) => was.get(condition.type)?.status !== condition.status)
    .filter(
      ({ type, status }) =>
        was.has(type) || status === 'False' || (status === 'Unknown' && !isOfBackups(type)),
    )
    .map((condition) => ({ message: tell(condition), ...ruleOf(condition) }));
  const phase =
    before.status.phase === after.status.phase
      ? []
      : [{ message: `Phase ${before.status.phase} → ${after.status.phase}.` }];
  const repair =
    before.remediation === undefined && after.remediation !== undefined
      ? [{ message: `Remediation begins: ${after.remediation.reason}.` }]
      : [];
  const rotation =
    before.operation === undefined && after.operation?.kind === 'rotate-ca'
      ? [{ message: `The certificate authority is replaced: ${after.pki?.rollover?.reason}.` }]
      : [];
  return [...changed, ...phase, ...repair, ...rotation];
}

/** Not known yet is how they begin: no news, and nothing to look at more often for. */
const isOfBackups = (type: Condition['type']): boolean => type === 'BackupFresh' || type === 'BackupProven';

const tell = (condition: Condition): string =>
  `${condition.type} is ${condition.status} (${condition.reason}): ${condition.message}`;

const ruleOf = (condition: Condition): { rule?: string } =>
  condition.type === 'ClusterIdConsistent' && condition.status === 'False' ? { rule: 'S9' } : {};
