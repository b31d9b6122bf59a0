import { ConflictError, NotFoundError } from '../core/errors.ts';
import type { ApiCell } from '../core/model/cell.ts';
import type { Operation } from '../core/model/operation.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { type TenantDocument, tenantDocument } from '../core/tenant-document.ts';
import type { ApiDeps } from './deps.ts';

/** Saves lose against functions that work on the tenant at the same time; each try reads the record afresh. */
const saveTries = 8;

export const unknownTenant = (tenantId: string): NotFoundError =>
  new NotFoundError(`There is no tenant "${tenantId}". GET /v1/tenants lists the tenants there are.`);

export async function requireTenant(deps: Pick<ApiDeps, 'store'>, tenantId: string): Promise<TenantRecord> {
  const tenant = await deps.store.get(tenantId);
  if (tenant === undefined) throw unknownTenant(tenantId);
  return tenant;
}

export function cellOf(
  deps: Pick<ApiDeps, 'cells'>,
  tenant: Pick<TenantRecord, 'tenantId' | 'cell'>,
): ApiCell {
  const cell = deps.cells.find((candidate) => candidate.id === tenant.cell);
  if (cell === undefined) {
    throw new Error(`Tenant ${tenant.tenantId} lives in cell ${tenant.cell}, which CELLS does not name`);
  }
  return cell;
}

/** The operation that the record names, if its item can be read. */
export async function currentOperation(
  deps: Pick<ApiDeps, 'store'>,
  tenant: TenantRecord,
): Promise<Operation | undefined> {
  if (tenant.operation === undefined) return undefined;
  return deps.store.getOperation(tenant.tenantId, tenant.operation.operationId);
}

export async function documentOf(deps: ApiDeps, tenant: TenantRecord): Promise<TenantDocument> {
  const ids = [tenant.operation?.operationId, tenant.remediation?.operationId];
  const operations = await Promise.all(
    ids.map((id) => (id === undefined ? undefined : deps.store.getOperation(tenant.tenantId, id))),
  );
  return tenantDocument(
    tenant,
    cellOf(deps, tenant),
    operations.filter((operation) => operation !== undefined),
  );
}

/**
 * Changes the newest record, again after each conflict.
 * @param change the next record without its new recordVersion, or undefined when there is nothing to change
 * @returns the record as it is now, and whether this call has changed it
 */
export async function changeTenant(
  deps: Pick<ApiDeps, 'store'>,
  tenantId: string,
  change: (tenant: TenantRecord) => TenantRecord | undefined,
): Promise<{ tenant: TenantRecord; changed: boolean }> {
  for (let tries = 1; ; tries++) {
    const tenant = await requireTenant(deps, tenantId);
    const next = change(tenant);
    if (next === undefined) return { tenant, changed: false };
    const saved = { ...next, recordVersion: tenant.recordVersion + 1 };
    try {
      await deps.store.save(saved, tenant.recordVersion);
      return { tenant: saved, changed: true };
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === saveTries) throw error;
    }
  }
}
