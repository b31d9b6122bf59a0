import { membersIn } from './members.ts';
import type { Rollout } from './model/rollout.ts';
import type { TenantRecord } from './model/tenant.ts';
import { compareVersions } from './version-order.ts';
import { minorOf, type VersionGate, versionChange, versionOf } from './version-rules.ts';
import { windowOpens } from './window.ts';

export type Standing =
  /** Runs the version, and all is well. */
  | { readonly is: 'patched' }
  /** Its own patch operation is at it. */
  | { readonly is: 'patching' }
  | { readonly is: 'ready' }
  | { readonly is: 'held'; readonly reason: string }
  /** None of this rollout's business. */
  | { readonly is: 'other' }
  /** Not well: reason enough to stop when the rollout has been at it. */
  | { readonly is: 'sick'; readonly reason: string };

/** How a tenant stands towards the rollout of a version, as its record says. */
export function standingOf(
  tenant: TenantRecord | undefined,
  { version }: Pick<Rollout, 'version'>,
  gate: VersionGate,
  now: Date,
): Standing {
  if (tenant === undefined || ['creating', 'deleting'].includes(tenant.status.phase)) return { is: 'other' };
  if (minorOf(tenant.spec.version) !== minorOf(version)) return { is: 'other' };
  const ill = illness(tenant);
  if (tenant.spec.version === version) {
    if (ill !== undefined) return { is: 'sick', reason: ill };
    return tenant.operation?.kind === 'patch' ? { is: 'patching' } : { is: 'patched' };
  }
  if (compareVersions(tenant.spec.version, version) > 0) return { is: 'other' };
  const running = membersIn(tenant, 'voting').flatMap((member) => versionOf(member) ?? []);
  const change = versionChange(running, version, gate);
  if (change.kind !== 'patch') {
    return {
      is: 'held',
      reason: change.kind === 'refused' ? change.reason : 'its members run something else',
    };
  }
  if (ill !== undefined) return { is: 'held', reason: ill };
  if (tenant.paused !== undefined) return { is: 'held', reason: 'its automation is paused' };
  if (tenant.operation !== undefined)
    return { is: 'held', reason: `a ${tenant.operation.kind} is under way` };
  const opens = windowOpens(tenant.spec.maintenanceWindow, now);
  if (opens !== undefined) return { is: 'held', reason: `its window opens at ${opens.toISOString()}` };
  return { is: 'ready' };
}

function illness({ status, remediation }: TenantRecord): string | undefined {
  if (remediation !== undefined) return `it is being repaired: ${remediation.reason}`;
  if (status.phase === 'degraded' || status.phase === 'recovering' || status.phase === 'failed') {
    return `it is ${status.phase}: ${status.reason}`;
  }
  return undefined;
}

/** The record with the patch on it; undefined when it may not begin (any more). */
export function withFleetPatch(
  tenant: TenantRecord,
  rollout: Pick<Rollout, 'version'>,
  operationId: string,
  gate: VersionGate,
  now: Date,
): TenantRecord | undefined {
  if (standingOf(tenant, rollout, gate, now).is !== 'ready') return undefined;
  const { recheck: _, ...rest } = tenant;
  return {
    ...rest,
    spec: { ...tenant.spec, version: rollout.version },
    generation: tenant.generation + 1,
    operation: { operationId, kind: 'patch' },
    nextCheckAt: now.toISOString(),
  };
}
