import { assessHealth, type Health, statusFrom } from '../core/conditions.ts';
import { membersIn, withMembers } from '../core/members.ts';
import type { Condition } from '../core/model/condition.ts';
import type { Member } from '../core/model/member.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Observation } from '../core/step.ts';

/** Nannies report changes and ECS tells of tasks at once; this is for what nobody tells. */
export const healthyCheckMs = 120_000;
export const sickCheckMs = 30_000;

export interface SweepResult {
  readonly tenant: TenantRecord;
  /** What is different from before, one line each, for the timeline. */
  readonly changes: readonly { readonly message: string; readonly rule?: string }[];
}

/** What a formed cluster's record should say, given what was seen. Repairs nothing. */
export function planSweep(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): SweepResult {
  const health = assessHealth(tenant, observation, now, zones);
  const unsure = health.conditions.some((condition) => condition.status === 'Unknown');
  const pause = health.phase === 'available' && !unsure ? healthyCheckMs : sickCheckMs;
  const next: TenantRecord = {
    ...withSeen(tenant, health),
    status: statusFrom(tenant, health, now),
    highestRevision: Math.max(tenant.highestRevision, health.revision),
    nextCheckAt: new Date(now.getTime() + pause).toISOString(),
  };
  return { tenant: next, changes: changesOf(tenant, next) };
}

/** `seen.at` moves only with what was seen: a sweep that finds nothing new leaves the member as it is. */
function withSeen(tenant: TenantRecord, health: Health): TenantRecord {
  const members = membersIn(tenant, 'voting', 'learner').flatMap((member): Member[] => {
    const seen = health.members[member.name];
    const before = member.seen;
    const same =
      seen === undefined ||
      (before?.healthy === seen.healthy &&
        before.isLeader === seen.isLeader &&
        before.version === (seen.version ?? before.version) &&
        before.problem === seen.problem);
    const version = seen?.version ?? before?.version;
    // Only a report writes it: the fall that it stands for is on the timeline then.
    const lastExitAt = before?.lastExitAt;
    const kept = {
      ...(version !== undefined && { version }),
      ...(lastExitAt !== undefined && { lastExitAt }),
    };
    return same ? [] : [{ ...member, seen: { ...seen, ...kept } }];
  });
  return withMembers(tenant, members);
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
  return [...changed, ...phase];
}

const tell = (condition: Condition): string =>
  `${condition.type} is ${condition.status} (${condition.reason}): ${condition.message}`;

const ruleOf = (condition: Condition): { rule?: string } =>
  condition.type === 'ClusterIdConsistent' && condition.status === 'False' ? { rule: 'S9' } : {};
