import { membersOf } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { clearLeaving, gather } from '../core/primitives/index.ts';
import { type Decision, type Observation, step } from '../core/step.ts';

/** From a spec to a cluster that serves. Pure: see `reconcile` for how it is driven. */
export function planCreate(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision {
  if (tenant.status.phase !== 'creating') {
    return step({ kind: 'close-operation', message: closing(tenant) });
  }
  // What is left of an attempt that was given up; new members come only when the old ones are surely gone.
  const clearing = clearLeaving(tenant, observation, now, undefined, 'the attempt given up');
  if (clearing) return clearing;
  if (tenant.incarnation.state === 'formed') {
    return step({ kind: tenant.nameServiceId === undefined ? 'create-name' : 'publish' });
  }
  // Done while the tasks are coming up: join answers `wait` until there is a certificate authority.
  return gather(tenant, observation, now, zones, () => {
    if (tenant.pki === undefined) return step({ kind: 'issue-pki' });
    return tenant.nameServiceId === undefined ? step({ kind: 'create-name' }) : undefined;
  });
}

function closing(tenant: TenantRecord): string {
  const members = membersOf(tenant).length;
  return tenant.status.phase === 'degraded'
    ? `Created with ${members} members, but degraded: ${tenant.status.reason}.`
    : `Created: ${members} ${members === 1 ? 'member serves' : 'members serve'}.`;
}
