import type { TenantRecord } from '../core/model/tenant.ts';
import type { Leavers } from '../core/primitives/choose.ts';
import { converge, isConverged, preflight, quorumView, waitLong } from '../core/primitives/index.ts';
import { beginOperation, endOperation, waitForWindow } from '../core/primitives/operation.ts';
import type { Decision, Observation } from '../core/step.ts';
import { minorOf, versionOf } from '../core/version-rules.ts';

/** Members 1 ↔ 3 ↔ 5, size class, storage, quota, one member replaced: all by growing and surge replacement. */
export function planScale(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: Leavers,
): Decision {
  if (isConverged(tenant, observation, now, context)) return endOperation(tenant);
  const view = quorumView(tenant, observation, now);
  const other = view.voters.find((voter) => {
    const version = versionOf(voter);
    return version !== undefined && minorOf(version) !== minorOf(tenant.spec.version);
  });
  if (other) {
    const reason = `${other.name} runs etcd ${versionOf(other)} and the spec says ${tenant.spec.version}: a minor step is a patch operation`;
    return { kind: 'blocked', reason, recheckSeconds: 300 };
  }
  return (
    preflight(tenant, view) ??
    (tenant.operation?.kind === 'resize' ? waitForWindow(tenant, now, false) : undefined) ??
    beginOperation(tenant) ??
    converge(tenant, observation, now, context) ??
    waitLong('wait-for-settling', 'everything is done; waiting until all members say so', 5)
  );
}
