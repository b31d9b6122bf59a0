import * as z from 'zod';
import { waitsForFinal, wantFinal, withoutFinal } from '../../core/backup/final.ts';
import type { Operation } from '../../core/model/operation.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { dispatch, ended, newOperation, record } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { operationAnswerSchema, tenantParams } from '../schemas.ts';
import { changeTenant, currentOperation } from '../tenant-access.ts';

export const deleteTenant = endpoint({
  method: 'delete',
  path: '/v1/tenants/{tenantId}',
  operationId: 'deleteTenant',
  summary: 'Delete a tenant and its cluster',
  description:
    'A cluster that has formed gives a final backup first; `finalBackup=false`, also sent later, does without it. Deleting ' +
    'twice answers the same operation. Deletion protection has to be lifted first.',
  params: tenantParams,
  query: z.strictObject({ finalBackup: z.enum(['true', 'false']).default('true') }),
  answers: { 202: { description: 'Accepted', schema: operationAnswerSchema } },
  refusals: [404, 409, 422],
  async handle({ params: { tenantId }, query }, context) {
    const { deps } = context;
    const operation = newOperation(context, tenantId, 'delete', 'Waiting to be taken up');
    const save = query.finalBackup === 'true';
    let before: TenantRecord | undefined;
    const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
      before = newest;
      if (newest.status.phase === 'deleting') {
        return save || !waitsForFinal(newest) ? undefined : withoutFinal(newest);
      }
      refuseProtected(newest);
      const now = deps.clock.now();
      const saved = save ? wantFinal(newest, operation.operationId, now) : newest;
      return deleting(saved, operation, now);
    });
    if (before!.status.phase === 'deleting') {
      if (changed) {
        const message = `${context.caller.arn} does without the final backup`;
        await record(deps, { tenantId, operationId: tenant.operation!.operationId }, 'decided', message);
      }
      // Asked again: the answer is the operation under way. A second look does no harm and mends a lost one.
      await dispatch(deps, tenant, 'delete');
      const current = (await currentOperation(deps, tenant)) ?? (await repair(context, tenant));
      return { status: 202, body: { operation: current ?? operation } };
    }
    await deps.store.putOperation(operation);
    await record(
      deps,
      operation,
      'decided',
      `Deletion asked for by ${context.caller.arn}; ${finalBackup(tenant, save)}`,
    );
    await closeSuperseded(context, before!);
    if (waitsForFinal(tenant)) await dispatch(deps, tenant, 'backup');
    await dispatch(deps, tenant, 'delete');
    return { status: 202, body: { operation } };
  },
});

function finalBackup(tenant: TenantRecord, save: boolean): string {
  if (waitsForFinal(tenant)) return 'a final backup is taken first';
  return save ? 'no member can give a final backup' : 'without a final backup';
}

function refuseProtected(tenant: TenantRecord): void {
  if (!tenant.spec.deletionProtection) return;
  throw new ApiError(
    'deletion-protected',
    `Tenant "${tenant.tenantId}" has deletion protection. Lift it first: ` +
      `nanny update ${tenant.tenantId} --no-deletion-protection ` +
      `(PATCH /v1/tenants/${tenant.tenantId} with {"spec":{"deletionProtection":false}}).`,
  );
}

function deleting(tenant: TenantRecord, operation: Operation, now: Date): TenantRecord {
  const at = now.toISOString();
  const others = tenant.status.conditions.filter((condition) => condition.type !== 'Ready');
  return {
    ...tenant,
    status: {
      phase: 'deleting',
      since: at,
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'Deleting',
          message: 'The tenant is being deleted.',
          since: at,
        },
        ...others,
      ],
    },
    operation: { operationId: operation.operationId, kind: 'delete' },
    nextCheckAt: at,
  };
}

/** The API was cut off between the record and the operation's item. */
async function repair(context: Context, tenant: TenantRecord): Promise<Operation | undefined> {
  if (tenant.operation?.kind !== 'delete') return undefined;
  const { operationId } = tenant.operation;
  const repaired = {
    ...newOperation(context, tenant.tenantId, 'delete', 'Waiting to be taken up'),
    operationId,
  };
  await context.deps.store.putOperation(repaired);
  return repaired;
}

/** An operation that was under way ends here: the tenant is no longer wanted. */
async function closeSuperseded({ deps }: Context, before: TenantRecord): Promise<void> {
  const current = await currentOperation(deps, before);
  if (current === undefined || current.endedAt !== undefined) return;
  const message = 'Given up because the deletion of the tenant was asked for';
  const steps = current.steps.map((step) =>
    step.outcome === 'running'
      ? { ...step, outcome: 'failed' as const, endedAt: deps.clock.now().toISOString() }
      : step,
  );
  await deps.store.putOperation(ended({ ...current, steps }, 'failed', message, deps.clock.now()));
}
