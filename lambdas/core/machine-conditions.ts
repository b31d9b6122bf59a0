import { membersIn } from './members.ts';
import type { Condition, ConditionType } from './model/condition.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Observation } from './step.ts';

export type Verdict = (
  type: ConditionType,
  status: Condition['status'],
  reason: string,
  message: string,
) => Condition;

/** Above this share of the quota room is made, before etcd raises NOSPACE. */
export const fullShare = 0.85;
/** Of a disk: below it etcd's next snapshot or defragmentation may not fit. */
const freeShare = 0.1;
/** Certificates and leases are a matter of minutes; what a look takes on its way is below this. */
const clockSlackMs = 10_000;

/** dbSize of the fullest voter that answers, as a share of the quota it was made with. */
export function quotaUsed(tenant: TenantRecord, { nannies }: Observation): number {
  const shares = membersIn(tenant, 'voting').map(({ name, made }) => {
    const nanny = nannies[name];
    const dbSize = nanny?.reachable ? (nanny.status.self?.dbSize ?? 0) : 0;
    return dbSize / ((made?.quotaMiB ?? tenant.spec.quotaMiB) * 1024 * 1024);
  });
  return Math.max(0, ...shares);
}

/** The quota counts before the disk: it is what makes etcd refuse writes. */
export function spaceCondition(tenant: TenantRecord, observation: Observation, verdict: Verdict): Condition {
  const { nannies } = observation;
  const used = quotaUsed(tenant, observation);
  if (used > fullShare) {
    const message = `The database uses ${percent(used)} of its quota.`;
    return verdict('SpaceAvailable', 'False', 'QuotaNearlyUsed', message);
  }
  const tight = Object.entries(nannies).flatMap(([name, nanny]) => {
    const disk = nanny.reachable ? nanny.status.disk : undefined;
    return disk && disk.freeBytes < disk.totalBytes * freeShare
      ? [`${name} (${percent(disk.freeBytes / disk.totalBytes)} free)`]
      : [];
  });
  return tight.length > 0
    ? verdict('SpaceAvailable', 'False', 'DiskNearlyFull', `The disk is nearly full: ${tight.join(', ')}.`)
    : verdict(
        'SpaceAvailable',
        'True',
        'BelowQuota',
        'The database is below 85 % of its quota and the disks have room.',
      );
}

/** Each nanny's clock against ours, as it was when the nanny was asked. */
export function clockCondition({ nannies }: Observation, now: Date, verdict: Verdict): Condition {
  const off = Object.entries(nannies).flatMap(([name, nanny]) => {
    if (!nanny.reachable) return [];
    const ahead = Date.parse(nanny.status.at) - now.getTime();
    const seconds = Math.round(Math.abs(ahead) / 1000);
    return Math.abs(ahead) > clockSlackMs
      ? [`${name} is ${seconds} s ${ahead > 0 ? 'ahead' : 'behind'}`]
      : [];
  });
  return off.length > 0
    ? verdict('ClocksAgree', 'False', 'ClockOff', `Clocks differ from ours: ${off.join(', ')}.`)
    : verdict('ClocksAgree', 'True', 'InStep', "The members' clocks agree with ours.");
}

const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`;
