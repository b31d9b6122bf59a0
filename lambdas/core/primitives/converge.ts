import { dueShard } from '../due-shard.ts';
import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { admitNewcomers } from './admit-newcomers.ts';
import { chooseLeaver, chooseReplaced, type Leavers, zoneForNewcomer } from './choose.ts';
import { clearLeaving, clearVanished } from './clear-leaving.ts';
import { waitLong, waitSoon } from './decide.ts';
import { isOutdated } from './outdated.ts';
import { type QuorumView, quorumView, statusOf, tellOf } from './quorum-view.ts';
import { inOrder, request } from './replace.ts';
import { retireMember } from './retire-member.ts';

/** More on their way out than this and the next newcomer waits: a record mostly holds at most 7 members. */
const leavingAtOnce = 1;

/**
 * Brings a cluster that is well to its spec: grows it one learner at a time, replaces by surge whoever is outdated or
 * asked for, and takes out whoever is too many. Redundancy never drops on the way.
 *
 * @returns undefined when nothing is left to do
 */
export function converge(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: Leavers,
): Decision | undefined {
  const view = quorumView(tenant, observation, now);
  const newcomers = membersIn(tenant, 'requested', 'launching', 'joined', 'learner').length;
  const surplus = view.voters.length > tenant.spec.members && newcomers === 0;
  const leaver = surplus ? chooseLeaver(tenant, observation, view, context) : undefined;
  const vanished = clearVanished(view);
  if (vanished) return vanished;
  const moving =
    admitNewcomers(tenant, observation, now, { draining: leaver?.name }) ??
    (leaver
      ? retireMember(tenant, observation, now, leaver.name, whyLeaving(tenant, leaver.name, context), {
          surge: true,
        })
      : bringNext(tenant, view, now, context));
  return inOrder(tenant, moving, clearLeaving(tenant, observation, now, view));
}

function bringNext(
  tenant: TenantRecord,
  view: QuorumView,
  now: Date,
  context: Leavers,
): Decision | undefined {
  const { zones } = context;
  const { members } = tenant.spec;
  const missing = view.voters.length < members;
  const replaced = missing ? undefined : chooseReplaced(tenant, view, context);
  if (!missing && replaced === undefined) return undefined;
  if (membersIn(tenant, 'leaving').length > leavingAtOnce) return undefined;
  const turn = dueShard(tenant.tenantId) % zones.length;
  const { version } = tenant.spec;
  return replaced
    ? request(tenant, now, members + 1, { zone: replaced.member.zone, version })
    : request(tenant, now, members, {
        zone: zoneForNewcomer(tenant, zones, turn),
        // While a minor step goes down in place, a newcomer runs what the others run.
        ...(!context.keepOutdated && { version }),
      });
}

function whyLeaving(tenant: TenantRecord, name: string, { taskDefinitions }: Leavers): string {
  const asked = tenant.replaceRequests?.[name];
  if (asked !== undefined) return asked;
  return isOutdated(tenant, tenant.members[name]!, taskDefinitions)
    ? 'another one in its zone is as the spec says'
    : `the spec says ${tenant.spec.members} members`;
}

/** What keeps an operation from going on, whatever it wants to do. */
export function preflight(tenant: TenantRecord, view: QuorumView): Decision | undefined {
  if (tenant.paused !== undefined) {
    const { since, by, reason } = tenant.paused;
    return waitLong('paused', `automation is paused since ${since} by ${by}: ${reason}`, 300);
  }
  if (tenant.incarnation.state !== 'formed')
    return waitSoon('wait-for-cluster', 'the cluster has not formed', 5);
  if (view.sick.length > 0) {
    return step({ kind: 'begin-remediation', what: 'remediate', reason: tellOf(view, view.sick) });
  }
  if (view.ambiguous) return waitSoon('wait-for-clear-view', view.ambiguous, 5);
  if (view.unsure.length > 0) {
    return waitSoon('wait-for-voters', `not sure of ${tellOf(view, view.unsure)}`, 5);
  }
  return undefined;
}

/** Members, names and what they were made as are what the spec says, and all is well. */
export function isConverged(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { taskDefinitions }: Leavers,
): boolean {
  const view = quorumView(tenant, observation, now);
  return (
    view.ambiguous === undefined &&
    Object.keys(tenant.members).length === tenant.spec.members &&
    view.healthy.length === tenant.spec.members &&
    view.listed?.length === tenant.spec.members &&
    view.voters.every(
      (voter) =>
        statusOf(voter.name, tenant, observation)?.self?.version === tenant.spec.version &&
        !isOutdated(tenant, voter, taskDefinitions) &&
        !(voter.name in (tenant.replaceRequests ?? {})),
    ) &&
    (tenant.nameServiceId === undefined ||
      view.voters.every((voter) => observation.names.includes(voter.name)))
  );
}
