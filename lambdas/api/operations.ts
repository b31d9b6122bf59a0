import type { Operation, OperationKind, TimelineEvent } from '../core/model/operation.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Duty } from '../core/ports.ts';
import type { ApiDeps } from './deps.ts';
import type { Context } from './endpoint.ts';
import { cellOf } from './tenant-access.ts';

export function newOperation(
  context: Context,
  tenantId: string,
  kind: OperationKind,
  message: string,
): Operation {
  const now = context.deps.clock.now().toISOString();
  return {
    operationId: context.deps.ids.ulid(),
    tenantId,
    kind,
    state: 'pending',
    requestedBy: context.caller.arn,
    createdAt: now,
    updatedAt: now,
    message,
    steps: [],
  };
}

export const ended = (operation: Operation, state: 'succeeded' | 'failed', message: string, now: Date) => ({
  ...operation,
  state,
  message,
  updatedAt: now.toISOString(),
  endedAt: now.toISOString(),
});

export async function record(
  deps: ApiDeps,
  operation: Pick<Operation, 'tenantId' | 'operationId'>,
  kind: TimelineEvent['kind'],
  message: string,
): Promise<void> {
  await deps.store.appendEvent({
    eventId: deps.ids.ulid(),
    tenantId: operation.tenantId,
    at: deps.clock.now().toISOString(),
    kind,
    message,
    operationId: operation.operationId,
  });
}

/** A lost "look" costs time, never the work: the sweep finds the tenant by its nextCheckAt. */
export async function dispatch(deps: ApiDeps, tenant: TenantRecord, duty: Duty): Promise<void> {
  try {
    await deps.dispatcherOf(cellOf(deps, tenant)).look(tenant.tenantId, duty);
  } catch (error) {
    deps.log.warn('could not ask for a look; the sweep will find the tenant', {
      tenantId: tenant.tenantId,
      duty,
      error,
    });
  }
}
