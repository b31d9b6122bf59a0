import { membersOf } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { clearLeaving, gather } from '../core/primitives/index.ts';
import { prepareRestore } from '../core/restore/prepare.ts';
import { reportOf, tellReport } from '../core/restore/report.ts';
import { type Decision, type Observation, step } from '../core/step.ts';

/** From a spec to a cluster that serves. Pure: see `reconcile` for how it is driven. */
export function planCreate(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision {
  if (tenant.status.phase !== 'creating') {
    return close(tenant, now);
  }
  // What is left of an attempt that was given up; new members come only when the old ones are surely gone.
  const clearing = clearLeaving(tenant, observation, now, undefined, 'the attempt given up');
  if (clearing) return clearing;
  if (tenant.incarnation.state === 'formed') {
    return step({ kind: tenant.nameServiceId === undefined ? 'create-name' : 'publish' });
  }
  const cloning = prepareClone(tenant, observation, now, zones);
  if (cloning) return cloning;
  // Done while the tasks are coming up: join answers `wait` until there is a certificate authority.
  return gather(tenant, observation, now, zones, () => {
    if (tenant.pki === undefined) return step({ kind: 'issue-pki' });
    return tenant.nameServiceId === undefined ? step({ kind: 'create-name' }) : undefined;
  });
}

/** A clone gathers from a snapshot that its own worker has made of the other tenant's backup, with its own certificates. */
function prepareClone(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision | undefined {
  const { restore, work } = tenant;
  if (restore === undefined) return undefined;
  if (tenant.pki === undefined) return step({ kind: 'issue-pki' });
  if (tenant.nameServiceId === undefined) return step({ kind: 'create-name' });
  const { operationId, pin, failed } = restore;
  if (failed === undefined && restore.prepared === undefined) {
    return prepareRestore(tenant, observation, now, { operationId, pin, zones });
  }
  if (work !== undefined)
    return step({ kind: 'end-work', name: work.name, reason: 'its result has been read' });
  return failed === undefined ? undefined : step({ kind: 'fail-create', reason: failed });
}

function close(tenant: TenantRecord, now: Date): Decision {
  if (tenant.status.phase === 'failed') {
    return step({ kind: 'close-operation', failed: true, message: tenant.status.reason });
  }
  const { restore } = tenant;
  const report = restore && reportOf(restore, now, false);
  return report === undefined
    ? step({ kind: 'close-operation', message: closing(tenant) })
    : step({ kind: 'close-operation', message: `${closing(tenant)} ${tellReport(report)}`, report });
}

function closing(tenant: TenantRecord): string {
  const members = membersOf(tenant).length;
  return tenant.status.phase === 'degraded'
    ? `Created with ${members} members, but degraded: ${tenant.status.reason}.`
    : `Created: ${members} ${members === 1 ? 'member serves' : 'members serve'}.`;
}
