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
    '`members` starts a `scale` operation; `size`, `storageGiB`, `volume`, `quotaMiB` and `autoCompaction` (with or without `members`) a ' +
    '`resize`; `version` a `patch`, and it has to be sent without those. All other fields are ' +
    'changed at once, by an `update` operation that has already succeeded when there is nothing else. ' +
    'One operation at a time: while another runs the answer is 409 and says which. A further change of a scale or ' +
    'resize under way is taken along by it. A repair under way does not block: it goes first. ' +
    'A `version` that the tenant has already replaces members that run an older image. ' +
    '`maintenanceWindow: null` takes the window away.',
  params: tenantParams,
  query: noQuery,
  body: { schema: specBodySchema, read: readSpecBody },
  answers: {
    200: { description: 'The tenant was like that already', schema: tenantAnswerSchema },
    202: { description: 'Changed', schema: tenantAnswerSchema },
  },
  refusals: [404, 409, 413, 415, 422],
  async handle({ params, body }, context) {
    return applySpec(await requireTenant(context.deps, params.tenantId), body, context, true);
  },
});
