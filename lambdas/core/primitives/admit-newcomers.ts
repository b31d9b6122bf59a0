import { backoffWait } from '../backoff.ts';
import { membersIn } from '../members.ts';
import type { Member, MemberIn } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step, taskEnd, taskState } from '../step.ts';
import { waitForRecord, waitSoon } from './decide.ts';
import { isServing, type QuorumView, quorumView, statusOf, tellOf, type Voter } from './quorum-view.ts';

/** A task that runs but has not joined by then never will (Fargate pulls an image in about a minute). */
const joinLimitMs = 10 * 60_000;
/** From its join: a learner that is not in sync by then is retired, and another task is tried. */
const syncLimitMs = 10 * 60_000;
/**
 * etcd promotes at 90 % of the leader's log. A voter promoted then needed 1.3 to 1.9 s more at 1 GB before it could be
 * read (etcd-facts, section 1), so ours also waits until it has applied nearly everything.
 */
const appliedGap = 1_000;

/**
 * Brings whoever has been requested all the way to a registered voter: launch → join → learner → in sync → promote →
 * ready → name. A newcomer that cannot make it is retired (clearLeaving takes it from there; asking for another is the
 * plan's). Waits, never adds, while a voter is not healthy.
 *
 * @param options.draining a voter whose name was taken out on purpose: it is not registered again
 * @returns undefined when there is nobody to bring in
 */
export function admitNewcomers(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  options: { readonly draining?: string | undefined } = {},
): Decision | undefined {
  const newcomers = membersIn(tenant, 'requested', 'launching', 'joined', 'learner');
  const view = quorumView(tenant, observation, now);
  for (const member of newcomers) {
    const hopeless = whyHopeless(member, tenant, observation, now);
    if (hopeless) return step({ kind: 'remove-member', member: member.name, reason: hopeless });
  }
  const naming = nameVoters(tenant, observation, view, options.draining);
  if (naming) return naming;
  const requested = newcomers.filter((member) => member.state === 'requested');
  if (requested.length > 0) {
    return (
      backoffWait(tenant, now) ??
      step({ kind: 'launch-members', members: requested.map((member) => member.name) })
    );
  }
  const [newcomer] = newcomers.sort((a, b) => rank(b) - rank(a));
  switch (newcomer?.state) {
    case undefined:
    case 'requested':
      return finish(view);
    case 'launching':
      return waitForRecord('wait-for-members', `${newcomer.name} has not joined yet`, 5);
    case 'joined':
      return add(newcomer, tenant, view, now);
    case 'learner':
      return promote(newcomer, tenant, observation, view);
  }
}

const rank = (member: Member): number => ['launching', 'joined', 'learner'].indexOf(member.state);

/** Until the last one promoted is ready. */
const finish = (view: QuorumView): Decision | undefined =>
  view.coming.length > 0
    ? waitSoon('wait-for-ready', `not ready yet: ${tellOf(view, view.coming)}`)
    : undefined;

/**
 * Whoever votes and is ready gets its name at once, whatever else is to be done: clients find members by name, and
 * those that had names may be gone before the next newcomer is there.
 */
export function nameVoters(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
  draining?: string,
): Decision | undefined {
  return nameThose(
    tenant,
    observation,
    view.healthy.filter(({ name }) => name !== draining),
  );
}

/** Those of them that have no name yet get theirs. */
export function nameThose(
  tenant: TenantRecord,
  observation: Observation,
  voters: readonly Voter[],
): Decision | undefined {
  if (tenant.nameServiceId === undefined) return undefined;
  const nameless = voters.map(({ name }) => name).filter((name) => !observation.names.includes(name));
  return nameless.length > 0 ? step({ kind: 'register-names', members: nameless }) : undefined;
}

function add(
  newcomer: MemberIn<'joined'>,
  tenant: TenantRecord,
  view: QuorumView,
  now: Date,
): Decision | undefined {
  if (view.downgradeTo !== undefined) {
    // While a downgrade is enabled no member of any version can join.
    return step({ kind: 'downgrade', action: 'cancel', version: view.downgradeTo });
  }
  return whyNotNow(view) ?? backoffWait(tenant, now) ?? step({ kind: 'add-learner', member: newcomer.name });
}

function promote(
  learner: MemberIn<'learner'>,
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
): Decision {
  const behind = whyBehind(learner, tenant, observation, view);
  if (behind) return waitSoon('wait-for-learner', behind);
  return whyNotNow(view) ?? step({ kind: 'promote', member: learner.name });
}

/** Membership changes only in a full, unambiguous view (S2). */
function whyNotNow(view: QuorumView): Decision | undefined {
  if (view.ambiguous) return waitSoon('wait-for-clear-view', view.ambiguous);
  const unwell = [...view.sick, ...view.unsure, ...view.coming];
  if (unwell.length === 0) return undefined;
  return waitSoon(
    'wait-for-voters',
    `no member is added while a voter is not well: ${tellOf(view, unwell)}`,
    5,
  );
}

export function whyBehind(
  learner: MemberIn<'learner'>,
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
): string | undefined {
  const status = statusOf(learner.name, tenant, observation);
  // Promoted already, and we died before we could write it down.
  if (isServing(status)) return undefined;
  if (status?.self === undefined) return `etcd of ${learner.name} does not answer yet`;
  const leading = view.leader && statusOf(view.leader.name, tenant, observation)?.self;
  if (!leading) return 'the leader is not known';
  const gap = leading.raftAppliedIndex - status.self.raftAppliedIndex;
  return gap > appliedGap ? `${learner.name} is ${gap} entries behind the leader` : undefined;
}

function whyHopeless(
  member: Member,
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
): string | undefined {
  if (member.state === 'requested' || member.state === 'leaving') return undefined;
  const task = taskState(member, observation, now);
  if (task === 'stopped' || task === 'stopping') {
    return `the task of ${member.name} stopped: ${taskEnd(member, observation)}`;
  }
  const age = (since: string): number => now.getTime() - Date.parse(since);
  if (member.state === 'launching') {
    return age(member.launchedAt) > joinLimitMs
      ? `${member.name} has not joined within ${joinLimitMs / 60_000} minutes of its launch`
      : undefined;
  }
  const status = statusOf(member.name, tenant, observation);
  if (status && ['data-lost', 'removed'].includes(status.etcd.state)) {
    const exit = status.etcd.lastExit?.reason;
    return `etcd of ${member.name} cannot start${exit === undefined ? '' : `: ${exit}`}`;
  }
  return age(member.joinedAt) > syncLimitMs && !isServing(status)
    ? `${member.name} was not in sync within ${syncLimitMs / 60_000} minutes`
    : undefined;
}
