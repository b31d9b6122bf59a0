import * as z from 'zod';
import { tenantDocumentSchema } from '../../core/tenant-document.ts';
import { holds } from '../authority.ts';
import { endpoint } from '../endpoint.ts';
import { noQuery, pageQuery, tenantPageSchema, tenantParams } from '../schemas.ts';
import { documentOf, requireTenant } from '../tenant-access.ts';

export const getTenant = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}',
  operationId: 'getTenant',
  summary: 'One tenant: wanted, seen, members, operation under way',
  params: tenantParams,
  query: noQuery,
  answers: { 200: { description: 'The tenant', schema: tenantDocumentSchema } },
  refusals: [404],
  async handle({ params }, { deps }) {
    return { status: 200, body: await documentOf(deps, await requireTenant(deps, params.tenantId)) };
  },
});

export const listTenants = endpoint({
  method: 'get',
  path: '/v1/tenants',
  operationId: 'listTenants',
  summary: 'All tenants in the order of their names',
  description:
    'The list follows changes within about a second; each tenant in it is read as it is now. With a token it has those ' +
    'tenants only that the token gives authority over: a page may then have fewer than `limit`, or none, and a cursor.',
  params: z.strictObject({}),
  query: pageQuery,
  answers: { 200: { description: 'One page', schema: tenantPageSchema } },
  refusals: [],
  async handle({ query }, { deps, caller }) {
    const page = await deps.store.list(query);
    const ids = page.items.filter((tenantId) => holds(caller.authority, tenantId));
    const records = await Promise.all(ids.map((tenantId) => deps.store.get(tenantId)));
    const items = await Promise.all(
      records.flatMap((tenant) => (tenant === undefined ? [] : [documentOf(deps, tenant)])),
    );
    return { status: 200, body: { items, ...(page.cursor === undefined ? {} : { cursor: page.cursor }) } };
  },
});
