import { dutyOf } from '../core/duty.ts';
import type { Operation } from '../core/model/operation.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Context } from './endpoint.ts';
import { dispatch, record } from './operations.ts';
import { ApiError } from './problem.ts';

/** Time for the operation's own item to be written before the sweep takes the operation up by itself. */
const firstCheckMs = 5_000;

export function refuseWhileDeleting(tenant: TenantRecord): void {
  if (tenant.status.phase !== 'deleting') return;
  throw new ApiError(
    'deleting',
    `Tenant "${tenant.tenantId}" is being deleted. Wait until it is gone, then create it again.`,
  );
}

/**
 * May an operation begin on this cluster now? One at a time. A remediation under way does not block: it goes first, and
 * the operation begins when the cluster is well.
 * @throws ApiError
 */
export function requireIdle(tenant: TenantRecord): void {
  refuseWhileDeleting(tenant);
  const { tenantId, operation, status } = tenant;
  if (status.phase === 'creating' || operation?.kind === 'create') {
    throw new ApiError(
      'still-creating',
      `Tenant "${tenantId}" is still being created. Send this again when its phase is available.`,
      { 'retry-after': '5' },
    );
  }
  if (operation !== undefined) {
    throw new ApiError(
      'operation-under-way',
      `Tenant "${tenantId}" has a ${operation.kind} under way (${operation.operationId}), and operations go one at a time. ` +
        `Wait for it (GET /v1/tenants/${tenantId}/operations/${operation.operationId}), then send this again.`,
      { 'retry-after': '15' },
    );
  }
  if (status.phase === 'recovering' || tenant.remediation?.kind === 'recover') {
    throw new ApiError(
      'recovering',
      `Tenant "${tenantId}" has lost its quorum and is being recovered. Send this again when its phase is available.`,
      { 'retry-after': '15' },
    );
  }
  if (status.phase === 'hibernated') {
    throw new ApiError(
      'not-available',
      `Tenant "${tenantId}" is asleep. Wake it up first: nanny wake ${tenantId} (POST /v1/tenants/${tenantId}/wake).`,
    );
  }
  if (status.phase === 'failed') {
    throw new ApiError(
      'not-available',
      `Tenant "${tenantId}" has failed: ${status.reason}. Delete it and create it again.`,
    );
  }
}

/** The record with this operation on it, due shortly. */
export const withOperation = (tenant: TenantRecord, operation: Operation, now: Date): TenantRecord => ({
  ...tenant,
  operation: { operationId: operation.operationId, kind: operation.kind },
  nextCheckAt: new Date(now.getTime() + firstCheckMs).toISOString(),
});

/** A look is sent at once: the one that was planned for later does not stand for it. */
export const dueNow = ({ recheck: _, ...tenant }: TenantRecord, now: Date): TenantRecord => ({
  ...tenant,
  nextCheckAt: now.toISOString(),
});

/** Makes an operation that is on the record known, and sends somebody to begin it. */
export async function announce(context: Context, tenant: TenantRecord, operation: Operation): Promise<void> {
  const { deps } = context;
  await deps.store.putOperation(operation);
  await record(deps, operation, 'decided', operation.message);
  await dispatch(deps, tenant, dutyOf(tenant));
}
