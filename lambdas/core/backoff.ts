import type { TenantRecord } from './model/tenant.ts';

const longestMs = 300_000;

/** 2, 4, 8 ... seconds after the 1st, 2nd, 3rd failure, at most 5 minutes. */
export const backoffMs = (failures: number): number =>
  Math.min(longestMs, 1000 * 2 ** Math.min(failures, 12));

export function withBackoff(tenant: TenantRecord, reason: string, now: Date): TenantRecord {
  const failures = (tenant.backoff?.failures ?? 0) + 1;
  const until = new Date(now.getTime() + backoffMs(failures)).toISOString();
  return { ...tenant, backoff: { failures, until, reason: reason.slice(0, 1000) } };
}

export const withoutBackoff = ({ backoff: _backoff, ...tenant }: TenantRecord): TenantRecord => tenant;
