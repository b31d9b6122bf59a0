import { type DeltaRef, incarnationOfKey, readDeltaName, tenantPrefix } from '../model/backup.ts';
import type { BackupObjects, StoredObject, TenantStore } from '../ports.ts';
import type { Catalogue } from '../step.ts';

export interface CatalogueDeps {
  readonly store: Pick<TenantStore, 'listBackups'>;
  readonly objects: Pick<BackupObjects, 'list'>;
}

/**
 * Everything that is backed up of a tenant, of all its incarnations; also when the tenant is gone. Manifests first: an
 * object is published before its manifest is written, so one whose object is not listed then has lost it.
 */
export async function readCatalogue(deps: CatalogueDeps, cell: string, tenantId: string): Promise<Catalogue> {
  const backups = await deps.store.listBackups(tenantId);
  const objects: StoredObject[] = [];
  const deltas: Record<number, DeltaRef[]> = {};
  const deltasOf = (incarnation: number): DeltaRef[] => {
    const known = deltas[incarnation] ?? [];
    deltas[incarnation] = known;
    return known;
  };
  for (const object of await deps.objects.list(tenantPrefix(cell, tenantId))) {
    const delta = readDeltaName(object.key, object.bytes);
    const incarnation = incarnationOfKey(object.key);
    if (delta === undefined || incarnation === undefined) objects.push(object);
    else deltasOf(incarnation).push(delta);
  }
  return { backups, deltas, objects };
}
