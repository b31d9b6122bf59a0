import { membersIn } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { chooseSuccessor, type Leavers } from '../core/primitives/choose.ts';
import { converge, preflight, quorumView, statusOf, tellOf, waitSoon } from '../core/primitives/index.ts';
import { type Decision, type Observation, step } from '../core/step.ts';
import { minorOf, minorZero, versionOf } from '../core/version-rules.ts';

/**
 * One minor down: enable (which validates first) → wait until every member's storage has the older version → swap the
 * binaries in place one by one, the leader last. A member lost meanwhile: cancel first, since nobody can join before;
 * then it is remediation's, and afterwards this begins anew where the members stand.
 *
 * @param ready what has to be decided before anything is changed
 */
export function stepDown(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: Leavers,
  ready: () => Decision | undefined,
): Decision | undefined {
  const { version } = tenant.spec;
  const view = quorumView(tenant, observation, now);
  if (view.sick.length > 0 && view.holds && view.downgradeTo !== undefined && tenant.paused === undefined) {
    return step({ kind: 'downgrade', action: 'cancel', version });
  }
  const stopped = preflight(tenant, view) ?? ready();
  if (stopped) return stopped;
  if (membersIn(tenant, 'voting').length !== tenant.spec.members || hasOthers(tenant)) {
    return converge(tenant, observation, now, { ...context, keepOutdated: true });
  }
  if (view.coming.length > 0) {
    return waitSoon('wait-for-ready', `not ready yet: ${tellOf(view, view.coming)}`);
  }
  const above = view.voters.filter((voter) => minorOf(versionOf(voter) ?? version) !== minorOf(version));
  const target = minorZero(version);
  const waiting = above.filter(
    (voter) => statusOf(voter.name, tenant, observation)?.self?.storageVersion !== target,
  );
  if (waiting.length > 0) {
    return view.downgradeTo === undefined
      ? step({ kind: 'downgrade', action: 'enable', version })
      : waitSoon('wait-for-storage-version', `storage is not at ${target} yet: ${tellOf(view, waiting)}`);
  }
  const next = above.find((voter) => voter !== view.leader) ?? above[0];
  if (next === undefined) return converge(tenant, observation, now, context);
  if (next === view.leader && view.voters.length > 1) {
    const to = chooseSuccessor(tenant, observation, view, next.name);
    return to
      ? step({ kind: 'move-leadership', from: next.name, to: to.name })
      : waitSoon('wait-for-successor', `nobody can take over leadership from ${next.name}`);
  }
  return step({ kind: 'swap-binary', member: next.name, version });
}

const hasOthers = (tenant: TenantRecord): boolean =>
  Object.values(tenant.members).some((member) => member.state !== 'voting');
