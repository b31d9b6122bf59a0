import type { TenantRecord } from './model/tenant.ts';
import { ulidMs } from './ulid.ts';

/** What an operation may take without failing at anything: moving the data of the largest cluster, member by member. */
const operationMs = 60 * 60_000;

/**
 * Since when what is under way has been getting nowhere; undefined while it gets on. A repair is short, so its whole time
 * counts. Whoever paused the automation knows that nothing gets on.
 */
export function stuckSince(tenant: TenantRecord, now: Date): string | undefined {
  const { paused, backoff, remediation, operation, spec, createdAt } = tenant;
  if (paused !== undefined) return undefined;
  const times: number[] = [];
  if (backoff?.since !== undefined) times.push(Date.parse(backoff.since));
  if (remediation !== undefined) times.push(Date.parse(remediation.since));
  // In a maintenance window's time it waits for days without being stuck; there only failures count.
  if (operation !== undefined && spec.maintenanceWindow === undefined) {
    times.push(Math.max(ulidMs(operation.operationId), Date.parse(createdAt)) + operationMs);
  }
  const since = Math.min(...times.filter((time) => time <= now.getTime()));
  return Number.isFinite(since) ? new Date(since).toISOString() : undefined;
}
