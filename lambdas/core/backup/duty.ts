import type { Backups } from '../model/backups.ts';
import type { TenantRecord } from '../model/tenant.ts';

/**
 * Whether backups of the tenant may be taken now. Beside everything but what makes or ends a cluster; also while automation
 * is paused, since they change nothing. A tenant that is being deleted waits for its final one (final.ts).
 */
export function mayBackUp({ status, incarnation, remediation, backups }: TenantRecord): boolean {
  if (incarnation.state !== 'formed' || remediation?.kind === 'recover') return false;
  if (status.phase === 'deleting') return backups?.wanted?.reason === 'before-delete';
  return ['available', 'degraded', 'updating'].includes(status.phase);
}

/** The newest full backup of the present incarnation. */
export const lastOf = ({ backups, incarnation }: TenantRecord): Backups['last'] =>
  backups?.last?.incarnation === incarnation.number ? backups.last : undefined;

export const holderOf = ({ backups, incarnation }: TenantRecord): Backups['holder'] =>
  backups?.holder?.incarnation === incarnation.number ? backups.holder : undefined;

export const runningOf = ({ backups, incarnation }: TenantRecord): Backups['running'] =>
  backups?.running?.incarnation === incarnation.number ? backups.running : undefined;

export const withBackups = (tenant: TenantRecord, change: Partial<Backups>): TenantRecord => ({
  ...tenant,
  backups: { ...tenant.backups, ...change },
});

/** Longest pause between attempts: a backup that is late is worse than one tried in vain. */
const longestPauseMs = 60_000;

export function withTrouble(tenant: TenantRecord, reason: string, now: Date): TenantRecord {
  const failures = (tenant.backups?.trouble?.failures ?? 0) + 1;
  const pauseMs = Math.min(longestPauseMs, 1_000 * 2 ** Math.min(failures, 10));
  const until = new Date(now.getTime() + pauseMs).toISOString();
  return withBackups(tenant, { trouble: { failures, until, reason: reason.slice(0, 1_000) } });
}

export const withoutTrouble = ({ trouble: _trouble, ...backups }: Backups): Backups => backups;

/** The backup function comes back by itself; a look that got lost is sent again after. */
const lostLookMs = 30_000;

/**
 * Whoever waits for a backup has the tenant looked at so often that the sweep never finds it due: a look of the backup
 * function that got lost would be missed for ever.
 */
export function isLookLost({ backups, recheckBeside }: TenantRecord, now: Date): boolean {
  const since = backups?.running?.startedAt ?? backups?.wanted?.since;
  if (since === undefined) return false;
  const asked = Math.max(Date.parse(since), Date.parse(recheckBeside?.at ?? since));
  return now.getTime() - asked > lostLookMs;
}
