import { membersIn } from '../core/members.ts';
import type { OperationKind } from '../core/model/operation.ts';
import type { TenantSpec } from '../core/model/spec.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { minorOf, versionChange, versionOf } from '../core/version-rules.ts';
import { ApiError } from './problem.ts';
import { versionGateOf } from './versions.ts';

export type WorkKind = Extract<OperationKind, 'scale' | 'resize' | 'patch'>;

/** Which operation brings a change of the field about; `update`: one write, no work on the cluster. */
const kindOf: Readonly<Record<keyof TenantSpec, WorkKind | 'update'>> = {
  members: 'scale',
  size: 'resize',
  storageGiB: 'resize',
  volume: 'resize',
  quotaMiB: 'resize',
  version: 'patch',
  autoCompaction: 'resize',
  deletionProtection: 'update',
  recovery: 'update',
  quorumLossConfirmSeconds: 'update',
  unreachableSeconds: 'update',
  zoneOutageHoldMinutes: 'update',
  backup: 'update',
  maintenanceWindow: 'update',
  autoscale: 'update',
};

/**
 * What has to be done for these fields: nothing (undefined), or one operation. Members and size go together, as one
 * resize, because the same plan grows and replaces; a version goes alone, so that a step that may have to be taken back
 * is never mixed with another.
 * @throws ApiError `one-at-a-time`
 */
export function workFor(changed: readonly (keyof TenantSpec)[]): WorkKind | undefined {
  const kinds = new Set(changed.map((name) => kindOf[name]).filter((kind) => kind !== 'update'));
  if (kinds.has('patch') && kinds.size > 1) {
    const others = changed.filter((name) => !['update', 'patch'].includes(kindOf[name]));
    throw new ApiError(
      'one-at-a-time',
      `A version is changed by an operation of its own. Send version alone, wait for its operation, then send ${others.join(', ')} ` +
        '(or the other way round).',
    );
  }
  const order: readonly WorkKind[] = ['patch', 'resize', 'scale'];
  return order.find((kind) => kinds.has(kind));
}

/** Versions that the voting members run now. */
function runningVersions(tenant: TenantRecord): string[] {
  const running = membersIn(tenant, 'voting').flatMap((member) => versionOf(member) ?? []);
  return running.length === 0 ? [tenant.spec.version] : running;
}

/**
 * The rules that the patch plan goes by, told before anything is written.
 * @throws ApiError `version-refused`, `members-unhealthy`
 */
export function requireVersionStep(tenant: TenantRecord, wanted: string): void {
  const running = runningVersions(tenant);
  const change = versionChange(running, wanted, versionGateOf());
  if (change.kind === 'refused') {
    throw new ApiError(
      'version-refused',
      `Tenant "${tenant.tenantId}" cannot go to ${wanted}: ${change.reason}.`,
    );
  }
  if (change.kind !== 'minor-up' && change.kind !== 'minor-down') return;
  const sick = membersIn(tenant, 'voting').filter((member) => member.seen?.healthy === false);
  if (sick.length === 0 && tenant.remediation === undefined) return;
  const who = sick.map(({ name, seen }) => `${name}${seen?.problem ? ` (${seen.problem})` : ''}`).join(', ');
  throw new ApiError(
    'members-unhealthy',
    `A step to another minor (${minorOf(wanted)}) needs every member healthy, and ` +
      `${who === '' ? 'the tenant is being repaired' : `these are not: ${who}`}. ` +
      `Repair goes on by itself; send this again when AllMembersHealthy is True.`,
  );
}
