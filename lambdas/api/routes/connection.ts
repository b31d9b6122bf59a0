import * as z from 'zod';
import {
  type Connection,
  connectionFormats,
  connectionSchema,
  credentialFilesIn,
  endpointChoices,
} from '../../core/connection/connection.ts';
import { renderConnection } from '../../core/connection/render.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { clusterIdOf, dnsNameOf, endpointsOf } from '../../core/tenant-document.ts';
import type { ApiDeps } from '../deps.ts';
import { endpoint } from '../endpoint.ts';
import { ApiError } from '../problem.ts';
import { tenantParams } from '../schemas.ts';
import { cellOf, requireTenant } from '../tenant-access.ts';

export const getConnection = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}/connection',
  operationId: 'getConnection',
  summary: 'How clients reach the cluster',
  description:
    '`format=json` (the default) answers the document below. The other formats answer text/plain: the same, written as ' +
    "the client's own configuration, with credentials in files ca.pem, client.pem and client-key.pem in the folder `dir`.",
  params: tenantParams,
  query: z.strictObject({
    format: z.enum(connectionFormats).default('json'),
    endpoints: z.enum(endpointChoices).default('members'),
    dir: z
      .string()
      .regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable ASCII characters')
      .optional(),
  }),
  answers: { 200: { description: 'The connection', schema: connectionSchema } },
  refusals: [404, 409],
  async handle({ params, query }, { deps }) {
    const connection = connectionOf(deps, await requireTenant(deps, params.tenantId));
    if (query.format === 'json') return { status: 200, body: connection };
    const files = credentialFilesIn((query.dir ?? '').replace(/(?<=.)\/+$/, ''));
    const text = renderConnection(connection, query.format, files, query.endpoints);
    return { status: 200, body: connection, text };
  },
});

function connectionOf(deps: ApiDeps, tenant: TenantRecord): Connection {
  const clusterId = clusterIdOf(tenant);
  const endpoints = endpointsOf(tenant);
  if (clusterId === undefined || endpoints.length === 0 || tenant.pki === undefined) {
    throw new ApiError(
      'still-creating',
      `Tenant "${tenant.tenantId}" has no cluster to connect to yet (phase ${tenant.status.phase}). ` +
        `Try again when its phase is available.`,
      { 'retry-after': '2' },
    );
  }
  return {
    tenantId: tenant.tenantId,
    endpoints,
    dnsName: dnsNameOf(tenant.tenantId, cellOf(deps, tenant)),
    caBundle: tenant.pki.caBundle,
    clusterId,
  };
}
