import { tenantPrefix } from '../model/backup.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { StoredObject } from '../ports.ts';
import type { Catalogue } from '../step.ts';
import { ulidMs } from '../ulid.ts';

/** Longer than any upload, restore or recovery goes on for without the record naming its object. */
const graceMs = 24 * 60 * 60_000;

/** Begins with the id of a backup, of a worker's order, or of the recovery that saved a survivor: each has its time. */
const snapshotName = /\/(?:full|prepared)\/([0-9A-HJKMNP-TV-Z]{26})[^/]*\.snap$/;

/**
 * Snapshots that nothing will ever be restored from: what a worker or a survivor published for a restore that is over,
 * and full backups whose nanny ended between upload and manifest. A name that is none of ours is never touched.
 */
export function leftoversOf(
  { backups, objects }: Catalogue,
  tenant: TenantRecord,
  now: Date,
): StoredObject[] {
  const known = new Set(backups.map(({ key }) => key));
  const named = keysOn(tenant);
  return objects.filter(({ key }) => {
    const id = snapshotName.exec(key)?.[1];
    if (id === undefined || known.has(key) || named.has(key)) return false;
    return now.getTime() - ulidMs(id) > graceMs;
  });
}

/** Every key that the record names, wherever: what is under way needs it. A restore that is over needs nothing. */
function keysOn(tenant: TenantRecord): Set<string> {
  const own = tenantPrefix(tenant.cell, tenant.tenantId);
  const found = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value === 'string' && value.startsWith(own)) found.add(value);
    else if (typeof value === 'object' && value !== null)
      for (const part of Object.values(value)) collect(part);
  };
  const { restore, ...rest } = tenant;
  collect(rest);
  if (restore !== undefined && restore.operationId === tenant.operation?.operationId) collect(restore);
  return found;
}
