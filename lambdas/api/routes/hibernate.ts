import type { TenantRecord } from '../../core/model/tenant.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { newOperation } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { announce, refuseWhileDeleting, requireIdle, withOperation } from '../start-operation.ts';
import { changeTenant, documentOf } from '../tenant-access.ts';

const common = {
  method: 'post',
  params: tenantParams,
  query: noQuery,
  answers: { 202: { description: 'Accepted', schema: tenantAnswerSchema } },
  refusals: [404, 409, 422],
} as const;

export const hibernateTenant = endpoint({
  ...common,
  path: '/v1/tenants/{tenantId}/hibernate',
  operationId: 'hibernateTenant',
  summary: 'Put the tenant to sleep',
  description:
    'Clients are cut off, everything that was acknowledged goes into one snapshot, and then nothing runs. Name, certificates, ' +
    'spec and backups stay; the spec may be changed meanwhile.',
  handle: ({ params: { tenantId } }, context) =>
    begin(context, tenantId, 'hibernate', (tenant) => {
      requireIdle(tenant);
      if (tenant.status.phase === 'available' && tenant.remediation === undefined) return;
      const message = `Tenant "${tenantId}" is ${tenant.status.phase}: only a cluster that is well is put to sleep.`;
      throw new ApiError('members-unhealthy', message, { 'retry-after': '15' });
    }),
});

export const wakeTenant = endpoint({
  ...common,
  path: '/v1/tenants/{tenantId}/wake',
  operationId: 'wakeTenant',
  summary: 'Wake the tenant up',
  description:
    'A new incarnation begins from the snapshot, as the spec is by now, under the same name and certificates. Revisions go ' +
    'on far beyond the old ones, and watchers learn that their history is compacted.',
  handle: ({ params: { tenantId } }, context) =>
    begin(context, tenantId, 'wake', (tenant) => {
      refuseWhileDeleting(tenant);
      if (tenant.status.phase === 'hibernated' && tenant.operation === undefined) return;
      const message =
        tenant.operation === undefined
          ? `Tenant "${tenantId}" is ${tenant.status.phase}, not hibernated: there is nobody to wake up.`
          : `Tenant "${tenantId}" has a ${tenant.operation.kind} under way (${tenant.operation.operationId}). Wait for it, then send this again.`;
      throw new ApiError('operation-under-way', message);
    }),
});

async function begin(
  context: Context,
  tenantId: string,
  kind: 'hibernate' | 'wake',
  check: (tenant: TenantRecord) => void,
) {
  const { deps } = context;
  const operation = newOperation(context, tenantId, kind, `${kind} asked for by ${context.caller.arn}`);
  const { tenant } = await changeTenant(deps, tenantId, (newest) => {
    check(newest);
    return withOperation(newest, operation, deps.clock.now());
  });
  await announce(context, tenant, operation);
  return { status: 202 as const, body: { tenant: await documentOf(deps, tenant), operation } };
}
