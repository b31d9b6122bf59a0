import type { Verdict } from '../machine-conditions.ts';
import type { Condition } from '../model/condition.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { Observation } from '../step.ts';
import { holderOf, lastOf } from './duty.ts';
import { firstDrillMs } from './schedule.ts';
import { rpoOf, streamLateMs, withStream } from './stream.ts';

const minuteMs = 60_000;
/** The first full backup begins within a minute or two of the cluster's own. */
const firstBackupMs = 10 * minuteMs;

/** How old, and whether it has ever been restored. Neither makes a tenant `degraded`: the cluster serves all the same. */
export function backupConditions(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  verdict: Verdict,
): Condition[] {
  if (tenant.incarnation.state !== 'formed') return [];
  return [fresh(withStream(tenant, observation), now, verdict), proven(tenant, now, verdict)];
}

/** What a drill has just found, before the next look: it may be mended by then, and nobody would have seen it. */
export function withProofShown(tenant: TenantRecord, now: Date): TenantRecord {
  const { conditions } = tenant.status;
  const before = conditions.find(({ type }) => type === 'BackupProven');
  const shown = proven(tenant, now, (type, status, reason, message) => ({
    type,
    status,
    reason,
    message,
    since: before?.status === status ? before.since : now.toISOString(),
  }));
  const others = conditions.filter(({ type }) => type !== 'BackupProven');
  return { ...tenant, status: { ...tenant.status, conditions: [...others, shown] } };
}

function fresh(tenant: TenantRecord, now: Date, verdict: Verdict): Condition {
  const ageMs = (at: string): number => now.getTime() - Date.parse(at);
  const [last, holder] = [lastOf(tenant), holderOf(tenant)];
  if (last === undefined) {
    const { incarnation } = tenant;
    const young = incarnation.state === 'formed' && ageMs(incarnation.formedAt) < firstBackupMs;
    return young
      ? verdict('BackupFresh', 'Unknown', 'NoBackupYet', 'The first full backup is on its way.')
      : verdict(
          'BackupFresh',
          'False',
          'NoBackup',
          `There is no full backup of this cluster${because(tenant)}.`,
        );
  }
  // Times, not ages: a message that changes with every look would never be the same news twice.
  const full = `The last full backup is of ${last.contentAt}`;
  if (ageMs(last.contentAt) > 2 * tenant.spec.backup.intervalMinutes * minuteMs) {
    return verdict('BackupFresh', 'False', 'BackupOld', `${full}${because(tenant)}.`);
  }
  if (holder === undefined) {
    return verdict(
      'BackupFresh',
      'False',
      'NoStream',
      `${full}; nobody ships the changes since${because(tenant)}.`,
    );
  }
  const shipped = `changes are in S3 up to revision ${holder.shippedRevision}`;
  if (ageMs(holder.upToDateAt) > streamLateMs) {
    const why = holder.problem ?? `${holder.member} was asked last, and does not say why`;
    return verdict(
      'BackupFresh',
      'False',
      'StreamBehind',
      `${full}; ${shipped}, as of ${holder.upToDateAt}. What came after would be lost: ${why}`,
    );
  }
  // No time of the look: a message that changes with every look would never be the same news twice.
  const { seconds } = rpoOf(tenant, now)!;
  const trouble = holder.problem === undefined ? '' : ` ${holder.problem}`;
  return verdict(
    'BackupFresh',
    'True',
    'BackedUp',
    `${full}; ${shipped}. When it was looked at last, at most ${seconds} s of writes were not.${trouble}`,
  );
}

function proven({ backups, spec }: TenantRecord, now: Date, verdict: Verdict): Condition {
  const doubt = backups?.doubt;
  if (doubt !== undefined) {
    return verdict(
      'BackupProven',
      'False',
      'ProofFailed',
      `Backup ${doubt.backupId}: ${doubt.problem.replace(/\.$/, '')}. Another full backup is taken at once.`,
    );
  }
  const proof = backups?.proof;
  const ageMs = (at: string): number => now.getTime() - Date.parse(at);
  if (proof === undefined) {
    const since = backups?.last?.endedAt;
    const late = since !== undefined && ageMs(since) > firstDrillMs + 60 * minuteMs;
    return verdict(
      'BackupProven',
      late ? 'False' : 'Unknown',
      late ? 'NeverProven' : 'NotProvenYet',
      `No backup of this tenant has been restored to prove it yet${late ? because({ backups }) : ''}.`,
    );
  }
  const told = `Restored at ${proof.at} in ${proof.seconds.toFixed(1)} s: ${proof.keys} keys at revision ${proof.revision}, the same as in the cluster`;
  return ageMs(proof.at) > 2 * spec.backup.drillHours * 60 * minuteMs
    ? verdict('BackupProven', 'False', 'ProofOld', `${told}.`)
    : verdict('BackupProven', 'True', 'Proven', `${told}.`);
}

const because = ({ backups }: Pick<TenantRecord, 'backups'>): string =>
  backups?.trouble === undefined ? '' : ` (${backups.trouble.reason})`;
