import type { Endpoint } from '../endpoint.ts';
import { approveRecovery } from './approve-recovery.ts';
import { listBackups, proveBackup, takeBackup } from './backups.ts';
import { getConnection } from './connection.ts';
import { postCredentials } from './credentials.ts';
import { deleteTenant } from './delete-tenant.ts';
import { getFleet } from './fleet.ts';
import { getFleetPatch, postFleetPatch, resumeFleetPatch, stopFleetPatch } from './fleet-patch.ts';
import { hibernateTenant, wakeTenant } from './hibernate.ts';
import { getOperation, getTimeline, listOperations } from './history.ts';
import { patchTenant } from './patch-tenant.ts';
import { pauseTenant, resumeTenant } from './pause.ts';
import { putTenant } from './put-tenant.ts';
import { getTenant, listTenants } from './read-tenants.ts';
import { replaceMember } from './replace-member.ts';
import { restoreTenant } from './restore.ts';
import { rotateCa } from './rotate-ca.ts';
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
  replaceMember,
  pauseTenant,
  resumeTenant,
  approveRecovery,
  rotateCa,
  takeBackup,
  listBackups,
  proveBackup,
  restoreTenant,
  hibernateTenant,
  wakeTenant,
  postCredentials,
  getConnection,
  getVersions,
  getFleet,
  postFleetPatch,
  getFleetPatch,
  stopFleetPatch,
  resumeFleetPatch,
];
