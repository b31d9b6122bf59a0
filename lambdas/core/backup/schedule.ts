import type { TenantRecord } from '../model/tenant.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** 0..1, the same for ever for one name: FNV-1a. */
function shareOf(tenantId: string): number {
  let hash = 0x811c9dc5;
  for (const character of tenantId) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}

/**
 * The last time that was one for a full backup. Tenants have an offset of their own, so that a fleet's backups are
 * spread over the whole interval.
 */
export function slotBefore({ tenantId, spec }: Pick<TenantRecord, 'tenantId' | 'spec'>, now: Date): Date {
  const interval = spec.backup.intervalMinutes * minuteMs;
  const offset = Math.floor(shareOf(tenantId) * interval);
  return new Date(Math.floor((now.getTime() - offset) / interval) * interval + offset);
}

export const slotAfter = (tenant: Pick<TenantRecord, 'tenantId' | 'spec'>, now: Date): Date =>
  new Date(slotBefore(tenant, now).getTime() + tenant.spec.backup.intervalMinutes * minuteMs);

/** The first drill comes soon after the first full backup: nobody should have to believe in it for a day. */
export const firstDrillMs = 10 * minuteMs;
/** One that came to nothing is tried again after. */
export const drillAgainMs = 30 * minuteMs;
/** What is kept too long costs little; listing does not cost nothing. */
export const pruneEveryMs = 6 * hourMs;

export function nextDrillAt({ backups, spec }: TenantRecord): Date | undefined {
  const { last, drilledAt, doubt, retryDrill } = backups ?? {};
  if (last === undefined) return undefined;
  if (drilledAt === undefined) return new Date(Date.parse(last.endedAt) + firstDrillMs);
  // What was wrong is replaced: proven at once, but not again and again.
  if (doubt !== undefined && !doubt.again && last.startedAt >= doubt.at) return new Date(last.endedAt);
  const againMs = doubt !== undefined || retryDrill ? drillAgainMs : spec.backup.drillHours * hourMs;
  return new Date(Date.parse(drilledAt) + againMs);
}

export const nextPruneAt = ({ backups, createdAt }: TenantRecord): Date =>
  new Date(Date.parse(backups?.prunedAt ?? createdAt) + pruneEveryMs);
