import type { Backup } from '../model/backup.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { TenantStore } from '../ports.ts';
import { withBackups } from './duty.ts';

export interface Damage {
  readonly tenantId: string;
  /** The full backup, or the one that the segment lies behind. */
  readonly backupId: string;
  readonly key: string;
  readonly problem: string;
}

/** Says it in the manifest, once: nothing is restored from that object any more. */
export async function markDamaged(
  store: Pick<TenantStore, 'getBackup' | 'putBackup'>,
  { tenantId, backupId, key, problem }: Damage,
  now: Date,
): Promise<void> {
  // Read by its key, not among all: create, which has this to say of a clone's source, may not query.
  const backup = await store.getBackup(tenantId, backupId);
  const marked = backup && withDamage(backup, key, problem, now);
  if (marked !== undefined) await store.putBackup(marked);
}

function withDamage(backup: Backup, key: string, problem: string, now: Date): Backup | undefined {
  const at = now.toISOString();
  if (key === backup.key) return backup.damaged ? undefined : { ...backup, damaged: { at, problem } };
  const known = backup.damagedSegments ?? [];
  return known.some((segment) => segment.key === key)
    ? undefined
    : { ...backup, damagedSegments: [...known, { key, at, problem }] };
}

/**
 * On the record: what is backed up is in doubt until a drill succeeds, and another full backup, which needs nothing of
 * what is damaged, is wanted at once.
 */
export function withDoubt(tenant: TenantRecord, backupId: string, problem: string, now: Date): TenantRecord {
  const at = now.toISOString();
  const { doubt, wanted } = tenant.backups ?? {};
  return withBackups(tenant, {
    doubt: { at, backupId, problem, ...(doubt && { again: true }) },
    wanted: wanted ?? { reason: 'replacement', since: at },
  });
}
