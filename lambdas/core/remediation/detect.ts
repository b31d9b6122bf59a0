import { membersIn, taskArnsOf } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { quorumView } from '../primitives/index.ts';
import { isDead, quorumLoss, sicknessOf } from '../sickness.ts';
import type { Observation } from '../step.ts';
import { grayMs, slowMembers } from './gray.ts';
import { isShort, mayDefragment, roomyShare, spaceOf } from './space.ts';
import { uneven } from './zones.ts';

/** What did not help is not tried again at once. */
const spaceAgainMs = 10 * 60_000;
const rebalanceAgainMs = 2 * 60_000;
/** A task that no member owns is stopped after that long; a launch that is being recorded looks the same for a moment. */
export const unownedMs = 10 * 60_000;

export interface Finding {
  /** For people. */
  readonly reason: string;
  readonly quorumLost?: boolean;
  /** Members to be replaced by surge, and why. */
  readonly replace?: Readonly<Record<string, string>>;
}

/**
 * Whether the control plane has to repair something, given what was just seen of a formed cluster: the first of what
 * remediation would do. Members are only judged by what two sources say (`sicknessOf`).
 */
export function detect(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Finding | undefined {
  if (tenant.incarnation.state !== 'formed') return undefined;
  const voters = membersIn(tenant, 'voting');
  const loss = quorumLoss(tenant, observation, now);
  if (loss) {
    const who = loss.lost.map((member) => member.name).join(', ');
    return { reason: `quorum is lost: ${who} gone`, quorumLost: true };
  }
  for (const voter of voters) {
    const sickness = sicknessOf(tenant, voter, observation, now);
    if (sickness.verdict === 'sick' && isDead(sickness, now)) {
      return { reason: `${voter.name}: ${sickness.problem}` };
    }
  }
  return (
    alarms(tenant, observation, now) ??
    missing(tenant) ??
    gray(tenant, observation, now) ??
    later(tenant, observation, now, zones)
  );
}

function alarms(tenant: TenantRecord, observation: Observation, now: Date): Finding | undefined {
  const corrupt = Object.values(observation.nannies).some(
    (nanny) => nanny.reachable && nanny.status.alarms.some(({ alarm }) => alarm === 'CORRUPT'),
  );
  if (corrupt) return { reason: 'etcd raised the alarm CORRUPT: the data of the members differs' };
  const space = spaceOf(tenant, observation);
  const resizing = tenant.operation !== undefined;
  const tried =
    isWithin(tenant.spaceTriedAt, spaceAgainMs, now) && !(space.nospace && space.share <= roomyShare);
  if (resizing || tried) return undefined;
  if (space.nospace) return { reason: 'etcd raised the alarm NOSPACE: writes are refused' };
  if (isShort(space)) {
    return { reason: `the database uses ${Math.round(space.share * 100)} % of its quota` };
  }
  return mayDefragment(tenant, space, now)
    ? { reason: `the database of ${space.fragmented.join(', ')} is fragmented` }
    : undefined;
}

/** Fewer members than wanted and no operation that brings them: a repair that was cut short. */
function missing(tenant: TenantRecord): Finding | undefined {
  const voters = membersIn(tenant, 'voting').length;
  return tenant.operation === undefined && voters < tenant.spec.members
    ? { reason: `${voters} of ${tenant.spec.members} members are there` }
    : undefined;
}

function gray(tenant: TenantRecord, observation: Observation, now: Date): Finding | undefined {
  for (const [name, reason] of Object.entries(slowMembers(tenant, observation))) {
    const member = tenant.members[name];
    const since = member !== undefined && 'seen' in member ? member.seen?.slowSince : undefined;
    if (since === undefined || now.getTime() - Date.parse(since) < grayMs) continue;
    if (name in (tenant.replaceRequests ?? {})) continue;
    return { reason: `${name}: ${reason}`, replace: { [name]: reason } };
  }
  return undefined;
}

/** Nothing of this is urgent: only when all members are well and nobody works on them. */
function later(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Finding | undefined {
  const unowned = Object.entries(tenant.unowned ?? {}).filter(
    ([taskArn, since]) => taskArn in observation.tasks && now.getTime() - Date.parse(since) >= unownedMs,
  );
  if (unowned.length > 0) return { reason: `${unowned.length} tasks run that no member owns` };
  const view = quorumView(tenant, observation, now);
  if (tenant.operation !== undefined || view.healthy.length < tenant.spec.members) return undefined;
  return uneven(tenant, zones) && !isWithin(tenant.rebalanceTriedAt, rebalanceAgainMs, now)
    ? { reason: 'members double up in a zone' }
    : undefined;
}

const isWithin = (at: string | undefined, ms: number, now: Date): boolean =>
  at !== undefined && now.getTime() - Date.parse(at) < ms;

/** A member of the record, or its worker: a launch whose answer was not saved is known by the name alone. */
const isOwner = (tenant: TenantRecord, name: string): boolean =>
  tenant.members[name] !== undefined || tenant.work?.name === name;

/** Tasks of the tenant that nobody of the record owns, with the time each was first seen. */
export function unownedTasks(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
): Record<string, string> {
  const arns = new Set(taskArnsOf(tenant));
  return Object.fromEntries(
    Object.values(observation.tasks)
      .filter((task) => task.lastStatus !== 'STOPPED' && !arns.has(task.taskArn))
      .filter((task) => task.memberName === undefined || !isOwner(tenant, task.memberName))
      .map((task) => [task.taskArn, tenant.unowned?.[task.taskArn] ?? now.toISOString()]),
  );
}
