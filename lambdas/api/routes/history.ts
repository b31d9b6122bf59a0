import * as z from 'zod';
import { NotFoundError } from '../../core/errors.ts';
import { tenantIdSchema } from '../../core/model/names.ts';
import { operationSchema } from '../../core/model/operation.ts';
import type { Page } from '../../core/ports.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { noQuery, operationPageSchema, pageQuery, tenantParams, timelinePageSchema } from '../schemas.ts';
import { requireTenant } from '../tenant-access.ts';

/** History outlives its tenant: only a tenant without any history is unknown. */
async function known<T>(context: Context, tenantId: string, page: Page<T>, first: boolean): Promise<Page<T>> {
  if (first && page.items.length === 0) await requireTenant(context.deps, tenantId);
  return page;
}

export const listOperations = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}/operations',
  operationId: 'listOperations',
  summary: 'Operations of a tenant, newest first',
  params: tenantParams,
  query: pageQuery,
  answers: { 200: { description: 'One page', schema: operationPageSchema } },
  refusals: [404],
  async handle({ params: { tenantId }, query }, context) {
    const page = await context.deps.store.listOperations(tenantId, query);
    return { status: 200, body: await known(context, tenantId, page, query.cursor === undefined) };
  },
});

export const getOperation = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}/operations/{operationId}',
  operationId: 'getOperation',
  summary: 'One operation with its steps',
  params: z.strictObject({
    tenantId: tenantIdSchema,
    operationId: z.string().regex(/^[0-9A-Za-z-]{1,64}$/, 'is not an operation id'),
  }),
  query: noQuery,
  answers: { 200: { description: 'The operation', schema: operationSchema } },
  refusals: [404],
  async handle({ params: { tenantId, operationId } }, { deps }) {
    const operation = await deps.store.getOperation(tenantId, operationId);
    if (operation) return { status: 200, body: operation };
    throw new NotFoundError(
      `Tenant "${tenantId}" has no operation "${operationId}". GET /v1/tenants/${tenantId}/operations lists them.`,
    );
  },
});

export const getTimeline = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}/timeline',
  operationId: 'getTimeline',
  summary: 'What was seen, decided, done and refused, newest first',
  params: tenantParams,
  query: pageQuery,
  answers: { 200: { description: 'One page', schema: timelinePageSchema } },
  refusals: [404],
  async handle({ params: { tenantId }, query }, context) {
    const page = await context.deps.store.listEvents(tenantId, query);
    return { status: 200, body: await known(context, tenantId, page, query.cursor === undefined) };
  },
});
