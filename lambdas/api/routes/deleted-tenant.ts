import type { TenantRecord } from '../../core/model/tenant.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError } from '../problem.ts';
import { unknownTenant } from '../tenant-access.ts';

/** All that a clone needs to know of whose backups it is made. */
export type Restorable = Pick<TenantRecord, 'tenantId' | 'cell' | 'spec'>;

/**
 * A tenant that was deleted, as long as its backups are kept: it can be restored into a new one only.
 *
 * @throws NotFoundError, ApiError `conflict`
 */
export async function deletedTenant(
  { store, clock }: Pick<ApiDeps, 'store' | 'clock'>,
  tenantId: string,
  into: string | undefined,
): Promise<Restorable> {
  const grave = await store.getGrave(tenantId);
  if (grave === undefined) throw unknownTenant(tenantId);
  const { cell, spec, deletedAt, nextCheckAt } = grave;
  const then = `Tenant "${tenantId}" was deleted at ${deletedAt}`;
  if (Date.parse(nextCheckAt) <= clock.now().getTime()) {
    throw new ApiError(
      'conflict',
      `${then}; its backups were kept until ${nextCheckAt} and are being removed.`,
    );
  }
  if (into === undefined) {
    throw new ApiError(
      'conflict',
      `${then}; its backups are kept until ${nextCheckAt}. Restore them into a new tenant, of the same name if you like: nanny restore ${tenantId} --to newest --into ${tenantId} ("into" in the request).`,
    );
  }
  if (spec === undefined) {
    throw new ApiError(
      'conflict',
      `${then} by a release that did not keep what it was like, so no tenant like it can be made. Its full backups are plain etcd snapshots: docs/backups.md, "Deletion".`,
    );
  }
  return { tenantId, cell, spec };
}
