import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { isServing, statusOf } from '../primitives/index.ts';
import type { Observation } from '../step.ts';
import type { NannyStatus } from '../wire/admin.ts';

/** etcd's own advice is below 10 ms; ten times that and the member drags every write that waits for it. */
const slowFsyncMs = 100;
/** Entries committed and not applied: reads of this member are that old. */
const lagging = 5_000;
/** A peer is fine at half of that: else the load or the storage of the whole zone is to blame, and moving helps nobody. */
const fineShare = 0.5;
/** It has to last. */
export const grayMs = 120_000;

/** By its own figures; whether its peers are any better is another question. */
export const isSlow = (latency: NannyStatus['latency']): boolean =>
  latency !== undefined && ((latency.fsyncP99Ms ?? 0) > slowFsyncMs || latency.applyLag > lagging);

/** Voters that serve, but so slowly that the cluster is better off without them, and why. */
export function slowMembers(tenant: TenantRecord, observation: Observation): Record<string, string> {
  const voters = membersIn(tenant, 'voting').flatMap(({ name }) => {
    const status = statusOf(name, tenant, observation);
    return isServing(status) && status?.latency ? [{ name, ...status.latency }] : [];
  });
  const slow: Record<string, string> = {};
  if (voters.length < 2) return slow;
  for (const voter of voters) {
    const peers = voters.filter((other) => other !== voter);
    const { fsyncP99Ms, applyLag } = voter;
    if (
      fsyncP99Ms !== undefined &&
      fsyncP99Ms > slowFsyncMs &&
      peers.every((peer) => (peer.fsyncP99Ms ?? 0) <= slowFsyncMs * fineShare)
    ) {
      slow[voter.name] =
        `its disk takes ${Math.round(fsyncP99Ms)} ms (p99) for an fsync and its peers are fine`;
    } else if (applyLag > lagging && peers.every((peer) => peer.applyLag <= lagging * fineShare)) {
      slow[voter.name] = `it is ${applyLag} entries behind in applying and its peers are not`;
    }
  }
  return slow;
}
