import type { Operation } from '../../core/model/operation.ts';
import type { TenantSpec } from '../../core/model/spec.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import type { Context } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { ended, newOperation, record } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { changedFields, type ReadSpec } from '../spec-input.ts';
import { changeTenant, currentOperation, documentOf } from '../tenant-access.ts';

/** Fields that need no work on the cluster: changing them is one write. */
const effortless: readonly (keyof TenantSpec)[] = ['deletionProtection'];

/** Brings an existing tenant's spec to what was asked for, or says why not. */
export async function applySpec(tenant: TenantRecord, wanted: ReadSpec, context: Context): Promise<Answer> {
  const { deps } = context;
  refuseWhileDeleting(tenant);
  const changed = changedFields(wanted.input, tenant.spec);
  refuseWork(tenant, changed);
  if (changed.length === 0) {
    return {
      status: 200,
      body: { tenant: await documentOf(deps, tenant), operation: await latestOperation(context, tenant) },
    };
  }
  const result = await changeTenant(deps, tenant.tenantId, (newest) => {
    refuseWhileDeleting(newest);
    if (changedFields(wanted.input, newest.spec).length === 0) return undefined;
    const settled = newest.observedGeneration === newest.generation;
    const generation = newest.generation + 1;
    return {
      ...newest,
      generation,
      observedGeneration: settled ? generation : newest.observedGeneration,
      spec: { ...newest.spec, ...effortlessPart(wanted) },
    };
  });
  const text = changed.map((name) => `${name} set to ${JSON.stringify(result.tenant.spec[name])}`).join(', ');
  const operation = ended(
    newOperation(context, tenant.tenantId, 'update', text),
    'succeeded',
    text,
    deps.clock.now(),
  );
  await deps.store.putOperation(operation);
  await record(deps, operation, 'done', `Spec changed: ${text}`);
  return { status: 202, body: { tenant: await documentOf(deps, result.tenant), operation } };
}

function effortlessPart({ input }: ReadSpec): Partial<TenantSpec> {
  return Object.fromEntries(
    effortless.filter((name) => input[name] !== undefined).map((name) => [name, input[name]]),
  );
}

function refuseWhileDeleting(tenant: TenantRecord): void {
  if (tenant.status.phase !== 'deleting') return;
  throw new ApiError(
    'deleting',
    `Tenant "${tenant.tenantId}" is being deleted. Wait until it is gone, then create it again.`,
  );
}

function refuseWork(tenant: TenantRecord, changed: readonly (keyof TenantSpec)[]): void {
  const work = changed.filter((name) => !effortless.includes(name));
  if (work.length === 0) return;
  const shown = work.map((name) => `${name} (now ${JSON.stringify(tenant.spec[name])})`).join(', ');
  throw new ApiError(
    'change-not-offered',
    `Tenant "${tenant.tenantId}" exists, and this version of etcd-nanny cannot change ${shown} of a running cluster. ` +
      `What can be changed: ${effortless.join(', ')}. For everything else, create another tenant.`,
  );
}

/** The operation under way, else the newest one. */
async function latestOperation(context: Context, tenant: TenantRecord): Promise<Operation> {
  const { deps } = context;
  const current = await currentOperation(deps, tenant);
  if (current) return current;
  if (tenant.operation) {
    // The API was cut off between the record and the operation's item: write what is missing.
    const { operationId, kind } = tenant.operation;
    const repaired = {
      ...newOperation(context, tenant.tenantId, kind, 'Waiting to be taken up'),
      operationId,
      createdAt: tenant.createdAt,
    };
    await deps.store.putOperation(repaired);
    return repaired;
  }
  const { items } = await deps.store.listOperations(tenant.tenantId, { limit: 1 });
  return (
    items[0] ??
    ended(
      newOperation(context, tenant.tenantId, 'update', ''),
      'succeeded',
      'Nothing to change',
      deps.clock.now(),
    )
  );
}
