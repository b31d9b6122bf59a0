import { endpoint } from '../endpoint.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { requireTenant } from '../tenant-access.ts';
import { readSpecBody, specBodySchema } from './spec-body.ts';
import { applySpec } from './spec-change.ts';

export const patchTenant = endpoint({
  method: 'patch',
  path: '/v1/tenants/{tenantId}',
  operationId: 'patchTenant',
  summary: 'Change part of the spec of a tenant',
  description:
    'A change of `deletionProtection` answers 202 with an `update` operation that has already succeeded. ' +
    'Fields that need work on the cluster answer 409 until their operation exists.',
  params: tenantParams,
  query: noQuery,
  body: { schema: specBodySchema, read: readSpecBody },
  answers: {
    200: { description: 'The tenant was like that already', schema: tenantAnswerSchema },
    202: { description: 'Changed', schema: tenantAnswerSchema },
  },
  refusals: [404, 409, 413, 415, 422],
  async handle({ params, body }, context) {
    return applySpec(await requireTenant(context.deps, params.tenantId), body, context);
  },
});
