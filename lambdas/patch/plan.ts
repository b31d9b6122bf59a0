import type { TenantRecord } from '../core/model/tenant.ts';
import type { Leavers } from '../core/primitives/choose.ts';
import { converge, isConverged, preflight, quorumView, waitLong } from '../core/primitives/index.ts';
import { beginOperation, endOperation, waitForWindow } from '../core/primitives/operation.ts';
import type { Decision, Observation } from '../core/step.ts';
import { minorOf, type VersionGate, versionChange, versionOf } from '../core/version-rules.ts';
import { stepDown } from './step-down.ts';

export interface PatchContext extends Leavers {
  readonly gate: VersionGate;
}

/**
 * etcd's version and the image. Patch and one minor up: surge replacement, nobody below the floor, everybody healthy
 * first. One minor down: binaries swapped in place, since nobody can join while etcd's downgrade is enabled.
 */
export function planPatch(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: PatchContext,
): Decision {
  if (isConverged(tenant, observation, now, context)) return endOperation(tenant);
  const view = quorumView(tenant, observation, now);
  const running = view.voters.flatMap((voter) => versionOf(voter) ?? []);
  const change = versionChange(running, tenant.spec.version, context.gate);
  if (change.kind === 'refused') return { kind: 'blocked', reason: change.reason, recheckSeconds: 300 };
  const begun = new Set(running.map(minorOf)).size > 1;
  const ready = (): Decision | undefined => waitForWindow(tenant, now, begun) ?? beginOperation(tenant);
  const next =
    change.kind === 'minor-down'
      ? stepDown(tenant, observation, now, context, ready)
      : (preflight(tenant, view) ?? ready() ?? converge(tenant, observation, now, context));
  return next ?? waitLong('wait-for-settling', 'everything is done; waiting until all members say so', 5);
}
