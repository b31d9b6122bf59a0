import type { TenantRecord } from '../../core/model/tenant.ts';
import { waitsForApproval } from '../../core/tenant-document.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { dispatch, newOperation, record } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { changeTenant, documentOf } from '../tenant-access.ts';

export const approveRecovery = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/recovery/approve',
  operationId: 'approveRecovery',
  summary: 'Agree to the recovery that waits',
  description:
    'Only while a recovery waits for it (`remediation.waitsForApproval`). What would be lost is in `remediation.reason` ' +
    'and on the timeline. The agreement holds for this recovery only.',
  params: tenantParams,
  query: noQuery,
  answers: {
    200: { description: 'Agreed already', schema: tenantAnswerSchema },
    202: { description: 'Agreed; the recovery goes on', schema: tenantAnswerSchema },
  },
  refusals: [404, 409, 422],
  async handle({ params: { tenantId } }, context) {
    const { deps, caller } = context;
    const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
      if (newest.remediation?.approved === true) return undefined;
      if (!waitsForApproval(newest)) throw nothingToApprove(newest);
      const remediation = { ...newest.remediation!, approved: true };
      const { recheck: _, ...rest } = newest;
      return { ...rest, remediation, nextCheckAt: deps.clock.now().toISOString() };
    });
    const { operationId, reason } = tenant.remediation!;
    if (changed) {
      await record(
        deps,
        { tenantId, operationId },
        'decided',
        `Recovery approved by ${caller.arn}: ${reason}`,
      );
      await dispatch(deps, tenant, 'remediate');
    }
    const operation = await recovery(context, tenant, operationId);
    return { status: changed ? 202 : 200, body: { tenant: await documentOf(deps, tenant), operation } };
  },
});

async function recovery(context: Context, { tenantId, remediation }: TenantRecord, operationId: string) {
  const stored = await context.deps.store.getOperation(tenantId, operationId);
  return stored ?? { ...newOperation(context, tenantId, 'recover', remediation?.reason ?? ''), operationId };
}

function nothingToApprove({ tenantId, status, spec }: TenantRecord): ApiError {
  const policy =
    spec.recovery === 'auto'
      ? 'With recovery "auto" nobody is asked, unless lost members still seem to run, or nobody is left in a storm.'
      : 'It will wait for you when quorum is lost for good.';
  return new ApiError(
    'nothing-to-approve',
    `No recovery of tenant "${tenantId}" waits for approval (phase ${status.phase}). ${policy}`,
  );
}
