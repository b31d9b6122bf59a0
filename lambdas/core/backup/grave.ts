import { type Grave, graveSchema } from '../model/grave.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { BackupObjects, Cell, Clock, Log, TenantStore } from '../ports.ts';
import { mayClear } from '../safety-backup.ts';
import { readCatalogue } from './catalogue.ts';

const dayMs = 24 * 60 * 60_000;
/** As long as the oldest backup of a tenant that lives: five weeks. */
export const backupsOfDeletedMs = 35 * dayMs;

/** Written before the record goes: whatever ends in between, somebody comes for the backups. */
export const graveOf = (
  { tenantId, cell, spec }: Pick<TenantRecord, 'tenantId' | 'cell' | 'spec'>,
  now: Date,
): Grave =>
  graveSchema.parse({
    tenantId,
    cell,
    spec,
    deletedAt: now.toISOString(),
    nextCheckAt: new Date(now.getTime() + backupsOfDeletedMs).toISOString(),
  });

export interface GraveDeps {
  readonly cell: Pick<Cell, 'id'>;
  readonly store: Pick<TenantStore, 'get' | 'getGrave' | 'removeGrave' | 'listBackups' | 'removeBackup'>;
  readonly objects: Pick<BackupObjects, 'list' | 'remove'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** S3 takes a thousand at once; a look has seconds. The rest goes with the next round. */
const keysAtOnce = 5_000;

/** One on its way out has been buried, and is not gone yet. */
const again = async (store: GraveDeps['store'], tenantId: string): Promise<boolean> => {
  const tenant = await store.get(tenantId);
  return tenant !== undefined && tenant.status.phase !== 'deleting';
};

/**
 * Deletes what is backed up of a tenant that was deleted five weeks ago: objects first, then manifests, then the note of
 * it. Ended in its middle, it goes on with the next round. A tenant that has come to life again keeps what is there:
 * its own retention has it from then on.
 */
export async function clearGrave(
  deps: GraveDeps,
  tenantId: string,
): Promise<'no-grave' | 'kept' | 'more' | 'cleared'> {
  const { store, objects, clock, log } = deps;
  const grave = await store.getGrave(tenantId);
  if (grave === undefined) return 'no-grave';
  if (await again(store, tenantId)) {
    await store.removeGrave(tenantId);
    return 'kept';
  }
  const { backups, deltas, objects: others } = await readCatalogue(deps, grave.cell, tenantId);
  // Asked after it was read what there is: nothing of a tenant made since is among it.
  const why = mayClear(grave, await store.get(tenantId), deps.cell.id, clock.now());
  if (why !== undefined) {
    log.warn(`Backups of ${tenantId} stay: ${why}`, { tenantId, rule: 'S7' });
    return 'kept';
  }
  const keys = [...others, ...Object.values(deltas).flat()].map(({ key }) => key);
  await objects.remove(keys.slice(0, keysAtOnce));
  if (keys.length > keysAtOnce) return 'more';
  for (const { backupId } of backups) await store.removeBackup(tenantId, backupId);
  await store.removeGrave(tenantId);
  const since = `${backupsOfDeletedMs / dayMs} days after its deletion`;
  log.info(`Backups of ${tenantId} are deleted, ${since}: ${keys.length} objects.`, { tenantId });
  return 'cleared';
}
