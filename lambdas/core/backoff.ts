import { dutyOf } from './duty.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Decision } from './step.ts';

const longestMs = 300_000;

/** 2, 4, 8 ... seconds after the 1st, 2nd, 3rd failure, at most 5 minutes. */
export const backoffMs = (failures: number): number =>
  Math.min(longestMs, 1000 * 2 ** Math.min(failures, 12));

/** Another attempt has failed: the `failures`th, or one more than the record knows of. */
export function withBackoff(
  tenant: TenantRecord,
  reason: string,
  now: Date,
  failures = failuresOf(tenant) + 1,
): TenantRecord {
  const duty = dutyOf(tenant);
  const until = new Date(now.getTime() + backoffMs(failures)).toISOString();
  const before = tenant.backoff?.duty === duty ? tenant.backoff.since : undefined;
  const since = before ?? now.toISOString();
  return { ...tenant, backoff: { duty, failures, until, reason: reason.slice(0, 1000), since } };
}

const failuresOf = (tenant: TenantRecord): number =>
  tenant.backoff?.duty === dutyOf(tenant) ? tenant.backoff.failures : 0;

export const withoutBackoff = ({ backoff: _backoff, ...tenant }: TenantRecord): TenantRecord => tenant;

/** To wait, while the back-off of an attempt of this function lasts. */
export function backoffWait(tenant: TenantRecord, now: Date): Decision | undefined {
  const { backoff } = tenant;
  if (backoff === undefined || backoff.duty !== dutyOf(tenant)) return undefined;
  const left = Date.parse(backoff.until) - now.getTime();
  if (left <= 0) return undefined;
  return {
    kind: 'wait',
    name: 'back-off',
    reason: `attempt ${backoff.failures} failed (${backoff.reason}); trying again at ${backoff.until}`,
    recheckSeconds: Math.ceil(left / 1000),
  };
}
