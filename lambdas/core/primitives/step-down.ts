import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { isDead, sicknessOf } from '../sickness.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { minorOf, minorZero, versionOf } from '../version-rules.ts';
import { chooseSuccessor, type Leavers } from './choose.ts';
import { converge, preflight } from './converge.ts';
import { waitSoon } from './decide.ts';
import { type QuorumView, quorumView, statusOf, tellOf, type Voter } from './quorum-view.ts';

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
  // Who is unready for a moment, as after a change of leader, needs nobody to join in its place.
  const lost = view.sick.some((voter) => isDead(sicknessOf(tenant, voter, observation, now), now));
  if (lost && view.holds && view.downgradeTo !== undefined && tenant.paused === undefined) {
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
  if (view.downgradeTo === undefined) {
    const enable = agree(above, waiting, view, version);
    if (enable) return enable;
  } else if (waiting.length > 0) {
    return waitSoon('wait-for-storage-version', `storage is not at ${target} yet: ${tellOf(view, waiting)}`);
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

/**
 * etcd has to agree, by its downgrade, before anybody of a cluster whose voters all run the newer minor is swapped. Right
 * after a step up etcd's own version is still the older one, and rises within seconds: until then nothing is to be
 * enabled, and whoever was swapped would find it risen at its start and refuse to run (etcd-facts, section 6). While a
 * voter of the older minor is there it cannot rise.
 *
 * @param waiting those of `above` whose storage has the newer version
 */
function agree(
  above: readonly Voter[],
  waiting: readonly Voter[],
  view: QuorumView,
  version: string,
): Decision | undefined {
  const alone = above.length > 0 && above.length === view.voters.length;
  if (alone && waiting.length < above.length) {
    const rising = above.filter((voter) => !waiting.includes(voter));
    const reason = `etcd's own version has not followed its members yet: ${tellOf(view, rising)}`;
    return waitSoon('wait-for-storage-version', reason);
  }
  return waiting.length > 0 ? step({ kind: 'downgrade', action: 'enable', version }) : undefined;
}

const hasOthers = (tenant: TenantRecord): boolean =>
  Object.values(tenant.members).some((member) => member.state !== 'voting');
