import { isLookLost } from '../core/backup/duty.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Leavers } from '../core/primitives/choose.ts';
import {
  converge,
  isConverged,
  preflight,
  quorumView,
  rotateCa,
  stepDown,
  waitLong,
  waitSoon,
} from '../core/primitives/index.ts';
import { beginOperation, endOperation, waitForWindow } from '../core/primitives/operation.ts';
import { type Decision, type Observation, step } from '../core/step.ts';
import { minorOf, type VersionGate, versionChange, versionOf } from '../core/version-rules.ts';

export interface PatchContext extends Leavers {
  readonly gate: VersionGate;
}

/**
 * etcd's version, the image, the certificate authority. Patch and one minor up: surge replacement, nobody below the floor, everybody healthy
 * first. One minor down: binaries swapped in place, since nobody can join while etcd's downgrade is enabled.
 */
export function planPatch(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: PatchContext,
): Decision {
  if (tenant.operation?.kind === 'rotate-ca') return rotateCa(tenant, observation, now, context);
  if (isConverged(tenant, observation, now, context)) return endOperation(tenant);
  const view = quorumView(tenant, observation, now);
  const running = view.voters.flatMap((voter) => versionOf(voter) ?? []);
  const change = versionChange(running, tenant.spec.version, context.gate);
  if (change.kind === 'refused') return { kind: 'blocked', reason: change.reason, recheckSeconds: 300 };
  const begun = new Set(running.map(minorOf)).size > 1;
  const minorStep = change.kind === 'minor-up' || change.kind === 'minor-down';
  const ready = (): Decision | undefined =>
    waitForWindow(tenant, now, begun) ??
    (minorStep && !begun ? backedUp(tenant, now) : undefined) ??
    beginOperation(tenant);
  const next =
    change.kind === 'minor-down'
      ? stepDown(tenant, observation, now, context, ready)
      : (preflight(tenant, view) ?? ready() ?? converge(tenant, observation, now, context));
  return next ?? waitLong('wait-for-settling', 'everything is done; waiting until all members say so', 5);
}

/** Nothing but etcd's own downgrade leads back from a minor: a full backup of after the operation began has to be there. */
function backedUp(tenant: TenantRecord, now: Date): Decision | undefined {
  const { operation, backups } = tenant;
  const operationId = operation?.operationId;
  if (operationId === undefined || backups?.taken?.operationId === operationId) return undefined;
  const isAskedFor =
    backups?.wanted?.operationId === operationId || backups?.running?.operationId === operationId;
  if (isAskedFor && isLookLost(tenant, now)) return step({ kind: 'call-for-backup' });
  return isAskedFor
    ? waitSoon('wait-for-backup', 'a full backup is taken before the step to another minor', 10)
    : step({ kind: 'want-backup', reason: 'before-step', operationId });
}
