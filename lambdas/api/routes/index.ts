import type { Endpoint } from '../endpoint.ts';
import { getConnection } from './connection.ts';
import { postCredentials } from './credentials.ts';
import { deleteTenant } from './delete-tenant.ts';
import { getOperation, getTimeline, listOperations } from './history.ts';
import { patchTenant } from './patch-tenant.ts';
import { putTenant } from './put-tenant.ts';
import { getTenant, listTenants } from './read-tenants.ts';
import { getVersions } from './versions.ts';

export const endpoints: readonly Endpoint[] = [
  putTenant,
  getTenant,
  patchTenant,
  deleteTenant,
  listTenants,
  listOperations,
  getOperation,
  getTimeline,
  postCredentials,
  getConnection,
  getVersions,
];
