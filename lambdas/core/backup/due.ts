import type { TenantRecord } from '../model/tenant.ts';
import { quorumView } from '../primitives/quorum-view.ts';
import type { Observation } from '../step.ts';
import { isDrillDue } from './drill.ts';
import { mayBackUp, runningOf } from './duty.ts';
import { decideFull } from './full.ts';
import { nextPruneAt, slotAfter } from './schedule.ts';
import { decideStream } from './stream.ts';

/** Whether the backup function would have something to do now: the sweep asks this of what it sees anyway. */
export function wantsBackupLook(tenant: TenantRecord, observation: Observation, now: Date): boolean {
  if (!mayBackUp(tenant)) return false;
  if (tenant.work?.purpose === 'drill' || isDrillDue(tenant, now) || isPruneDue(tenant, now)) return true;
  const view = quorumView(tenant, observation, now);
  const decisions = [
    decideFull(tenant, observation, now, view),
    decideStream(tenant, observation, now, view),
  ];
  return decisions.some((decision) => decision?.kind === 'step');
}

/** When it will have, as far as the clock alone says. Milliseconds since 1970. */
export function nextBackupAt(tenant: TenantRecord, now: Date): number {
  if (!mayBackUp(tenant)) return Number.POSITIVE_INFINITY;
  // Somebody follows it; the sweep only has to find it again after a crash.
  if (runningOf(tenant) !== undefined) return now.getTime() + 60_000;
  return slotAfter(tenant, now).getTime();
}

export const isPruneDue = (tenant: TenantRecord, now: Date): boolean =>
  tenant.status.phase !== 'deleting' && tenant.backups?.last !== undefined && nextPruneAt(tenant) <= now;

/** Whether all that is backed up has to be read to decide what is due: nothing is listed without need. */
export const needsCatalogue = (tenant: TenantRecord, now: Date): boolean =>
  isPruneDue(tenant, now) || isDrillDue(tenant, now);
