import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, step } from '../step.ts';
import { windowOpens } from '../window.ts';
import { waitLong } from './decide.ts';

const longestWaitSeconds = 900;

/** Work that people may notice begins in the tenant's window; what has begun goes on. */
export function waitForWindow(tenant: TenantRecord, now: Date, begun: boolean): Decision | undefined {
  if (begun || tenant.status.phase === 'updating') return undefined;
  const opens = windowOpens(tenant.spec.maintenanceWindow, now);
  if (opens === undefined) return undefined;
  const left = Math.ceil((opens.getTime() - now.getTime()) / 1000);
  const reason = `the maintenance window opens at ${opens.toISOString()}`;
  return waitLong('wait-for-window', reason, Math.min(left, longestWaitSeconds));
}

export const beginOperation = (tenant: TenantRecord): Decision | undefined =>
  tenant.status.phase === 'updating' ? undefined : step({ kind: 'begin-operation' });

/** The cluster is as wanted: say so on the record, then close. */
export function endOperation(tenant: TenantRecord, message?: string): Decision {
  if (tenant.operation === undefined) return { kind: 'done' };
  if (tenant.status.phase === 'updating' || tenant.observedGeneration < tenant.generation) {
    return step({ kind: 'publish' });
  }
  const members = Object.keys(tenant.members).length;
  const { version, size } = tenant.spec;
  return step({
    kind: 'close-operation',
    message:
      message ?? `Done: ${members} ${members === 1 ? 'member' : 'members'} of size ${size}, etcd ${version}.`,
  });
}
