import { assessHealth, type Health, statusFrom } from '../core/conditions.ts';
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

export interface SweepResult {
  readonly tenant: TenantRecord;
  /** What is different from before, one line each, for the timeline. */
  readonly changes: readonly { readonly message: string; readonly rule?: string }[];
  /** A remediation begins: its operation has this id. */
  readonly remediation?: NonNullable<TenantRecord['remediation']>;
  /** When a member that is sick now will be given up: worth a look of its own. */
  readonly lookAgainAt?: Date;
  /** S8: the tenant turned sick, or is well again. */
  readonly turned?: 'sick' | 'well';
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
  const unsure = health.conditions.some((condition) => condition.status === 'Unknown');
  const seen = withSlow(withSeen(tenant, health, now), observation, now);
  const own = tenant.status.phase === 'available' || tenant.status.phase === 'degraded';
  const current: TenantRecord = {
    ...(listed ? withUnowned(seen, observation, now) : seen),
    status: own ? statusFrom(tenant, health, now) : { ...tenant.status, conditions: health.conditions },
    highestRevision: Math.max(tenant.highestRevision, health.revision),
  };
  const remediation = begin(current, observation, now, zones, newOperationId);
  const pending = pendingDeaths(current, observation, now);
  const calm =
    health.phase === 'available' && !unsure && Object.keys(slowMembers(tenant, observation)).length === 0;
  const next: TenantRecord = {
    ...current,
    ...remediation,
    // While somebody holds the lease, the time is that function's: it finds the tenant again after a crash.
    ...(tenant.lease === undefined && {
      nextCheckAt: new Date(now.getTime() + (calm ? healthyCheckMs : sickCheckMs)).toISOString(),
    }),
  };
  const turned = turn(tenant, next);
  const newlySick = membersIn(next, 'voting').some(
    ({ name, seen: is }) => is?.sickSince !== undefined && sickSinceOf(tenant, name) !== is.sickSince,
  );
  return {
    tenant: next,
    changes: changesOf(tenant, next),
    ...(remediation.remediation && { remediation: remediation.remediation }),
    ...(newlySick && pending && { lookAgainAt: pending }),
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

/** The next moment at which a member that is sick now counts as dead. */
function pendingDeaths(tenant: TenantRecord, observation: Observation, now: Date): Date | undefined {
  const times = membersIn(tenant, 'voting').flatMap((member) => {
    const sickness = sicknessOf(tenant, member, observation, now);
    return sickness.verdict === 'sick' && sickness.deadAt > now ? [sickness.deadAt.getTime()] : [];
  });
  return times.length > 0 ? new Date(Math.min(...times)) : undefined;
}

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

const sickSinceOf = (tenant: TenantRecord, name: string): string | undefined => {
  const member = tenant.members[name];
  return member !== undefined && 'seen' in member ? member.seen?.sickSince : undefined;
};

const isSick = (tenant: TenantRecord): boolean =>
  tenant.remediation?.quorumLostSince !== undefined ||
  membersIn(tenant, 'voting').some((member) => member.seen?.healthy === false);

function turn(before: TenantRecord, after: TenantRecord): SweepResult['turned'] {
  if (isSick(before) === isSick(after)) return undefined;
  return isSick(after) ? 'sick' : 'well';
}

function changesOf(before: TenantRecord, after: TenantRecord): SweepResult['changes'] {
  const was = new Map(before.status.conditions.map((condition) => [condition.type, condition]));
  const changed = after.status.conditions
    .filter((condition) => was.get(condition.type)?.status !== condition.status)
    .filter((condition) => was.has(condition.type) || condition.status !== 'True')
    .map((condition) => ({ message: tell(condition), ...ruleOf(condition) }));
  const phase =
    before.status.phase === after.status.phase
      ? []
      : [{ message: `Phase ${before.status.phase} → ${after.status.phase}.` }];
  const repair =
    before.remediation === undefined && after.remediation !== undefined
      ? [{ message: `Remediation begins: ${after.remediation.reason}.` }]
      : [];
  return [...changed, ...phase, ...repair];
}

const tell = (condition: Condition): string =>
  `${condition.type} is ${condition.status} (${condition.reason}): ${condition.message}`;

const ruleOf = (condition: Condition): { rule?: string } =>
  condition.type === 'ClusterIdConsistent' && condition.status === 'False' ? { rule: 'S9' } : {};
