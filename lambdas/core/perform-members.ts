import { withBackoff, withoutBackoff } from './backoff.ts';
import { ControlPlaneError, LeaseLostError } from './errors.ts';
import { renderEtcdArguments } from './etcd-flags.ts';
import { etcdCluster, leaving, peerUrl, withMembers } from './members.ts';
import type { Member } from './model/member.ts';
import type { TenantRecord } from './model/tenant.ts';
import { askNannies, silent } from './observe.ts';
import type { Outcome, PerformContext, Performers } from './perform.ts';
import type { Cell, Clock, NameRegistry, NannyClient, NannyTarget } from './ports.ts';
import { madeFor } from './primitives/outdated.ts';
import { entryOf, isServing, quorumView, statusOf, votesAlready } from './primitives/quorum-view.ts';
import { checkStep } from './safety.ts';
import type { Observation, Step } from './step.ts';
import { compareVersions } from './version-order.ts';
import { minorZero } from './version-rules.ts';

export interface MemberDeps {
  readonly cell: Cell;
  readonly clock: Clock;
  readonly nannies: Pick<
    NannyClient,
    'status' | 'addLearner' | 'promote' | 'removeMember' | 'moveLeadership' | 'downgrade' | 'swap'
  >;
  readonly names: Pick<NameRegistry, 'register'>;
}

/**
 * The steps that change the membership of a formed cluster, through a healthy voter's nanny. Each call carries the
 * lease's fence. What etcd or the network refuses for now is `notYet`: the next pass observes anew.
 */
export function memberPerformers(deps: MemberDeps): Performers {
  const { nannies } = deps;

  /** A voter to ask: the leader if it can be reached, never the one that is about to go. */
  const voterOf = (
    { tenant, observation, now }: PerformContext,
    except?: string,
  ): NannyTarget | undefined => {
    const view = quorumView(tenant, observation, now);
    const voter = [view.leader, ...view.healthy].find((each) => each && each.name !== except);
    return voter && { tenant, ip: voter.ip };
  };

  /** Health is read again immediately before acting (S2), and the rules are asked again with what was seen. */
  const lookAgain = async (
    step: Step,
    context: PerformContext,
  ): Promise<{ context: PerformContext; refusal?: string }> => {
    const { tenant } = context;
    const known = silent(tenant, context.observation);
    const observation = { ...context.observation, nannies: await askNannies(nannies, tenant, known) };
    const now = deps.clock.now();
    const zones = deps.cell.subnets.map((subnet) => subnet.zone);
    const verdict = checkStep({ step, tenant, observation, now, zones });
    const fresh = { ...context, observation, now };
    return verdict.allowed
      ? { context: fresh }
      : { context: fresh, refusal: `${verdict.rule}: ${verdict.reason}` };
  };

  return {
    async 'add-learner'(step, before) {
      const { context, refusal } = await lookAgain(step, before);
      const { tenant } = context;
      const member = tenant.members[step.member];
      if (member?.state !== 'joined') return nothingToDo(`${step.member} is not waiting to be added`);
      const target = voterOf(context);
      if (refusal !== undefined || target === undefined) return notYet(refusal ?? nobody);
      const url = peerUrl(member.ip);
      return attempt(async () => {
        const { etcdId } = await nannies.addLearner(target, fenceOf(tenant), url);
        return {
          message: `${member.name} is a learner of the cluster.`,
          recordsWhatExists: true,
          mutate: (stored) => {
            const known = stored.members[member.name];
            return known?.state === 'joined'
              ? withMember(stored, { ...known, state: 'learner', etcdId })
              : undefined;
          },
        };
      });
    },

    async promote(step, before) {
      const { context, refusal } = await lookAgain(step, before);
      const { tenant, observation } = context;
      const member = tenant.members[step.member];
      if (member?.state !== 'learner') return nothingToDo(`${step.member} is not a learner`);
      // Promoted already, and nobody lived to write it down.
      const votes =
        votesAlready(tenant, quorumView(tenant, observation, context.now), member.name) ||
        isServing(statusOf(member.name, tenant, observation));
      if (!votes) {
        const target = voterOf(context);
        if (refusal !== undefined || target === undefined) return notYet(refusal ?? nobody);
        const failed = await attempt(async () => {
          await nannies.promote(target, fenceOf(tenant), member.etcdId);
          return undefined;
        });
        if (failed) return failed;
      }
      return {
        message: `${member.name} votes.`,
        recordsWhatExists: true,
        mutate: (stored) => {
          const known = stored.members[member.name];
          return known?.state === 'learner'
            ? withoutBackoff(withMember(stored, { ...known, state: 'voting' }))
            : undefined;
        },
      };
    },

    async 'move-leadership'(step, context) {
      const { tenant } = context;
      const [from, to] = [tenant.members[step.from], tenant.members[step.to]];
      if (from?.state !== 'voting' || to?.state !== 'voting')
        return nothingToDo('one of the two does not vote');
      return attempt(async () => {
        await nannies.moveLeadership({ tenant, ip: from.ip }, fenceOf(tenant), to.etcdId);
        return { message: `Leadership handed over from ${from.name} to ${to.name}.` };
      });
    },

    async 'remove-member'(step, before) {
      const known = before.tenant.members[step.member];
      if (known === undefined) return nothingToDo(`${step.member} is gone`);
      const mayBeListed = known.state !== 'requested' && known.state !== 'launching';
      const { context, refusal } = mayBeListed ? await lookAgain(step, before) : { context: before };
      if (refusal !== undefined) return notYet(refusal);
      if (mayBeListed) {
        const failed = await takeOut(known, context);
        if (failed) return failed;
      }
      return {
        message: `${step.member} leaves: ${step.reason}.`,
        recordsWhatExists: true,
        mutate: (stored) => withLeaving(stored, step.member, step.reason, before.now),
      };
    },

    async 'register-names'(step, { tenant }) {
      const serviceId = tenant.nameServiceId;
      if (serviceId === undefined) return nothingToDo('the tenant has no name');
      await Promise.all(
        step.members.map(async (name) => {
          const member = tenant.members[name];
          if (member?.state === 'voting') await deps.names.register(serviceId, name, member.ip);
        }),
      );
      return { message: `In the name service: ${step.members.join(', ')}.` };
    },

    async downgrade(step, context) {
      const { tenant } = context;
      const target = newestVoter(context);
      if (target === undefined) return notYet(nobody);
      const version = minorZero(step.version);
      return attempt(async () => {
        if (step.action === 'enable') await nannies.downgrade(target, fenceOf(tenant), 'validate', version);
        await nannies.downgrade(target, fenceOf(tenant), step.action, version);
        return { message: `Downgrade to ${version}: ${step.action}.` };
      });
    },

    async 'swap-binary'(step, before) {
      const { context, refusal } = await lookAgain(step, before);
      const { tenant, observation } = context;
      const member = tenant.members[step.member];
      if (member?.state !== 'voting') return nothingToDo(`${step.member} does not vote`);
      const { version } = step;
      const made = {
        ...(member.made ?? madeFor(tenant, deps.cell.taskDefinitions)),
        version,
        swappedAt: deps.clock.now().toISOString(),
      };
      if (statusOf(member.name, tenant, observation)?.self?.version !== version) {
        if (refusal !== undefined) return notYet(refusal);
        if (tenant.incarnation.state !== 'formed') return notYet('the cluster has not formed');
        const etcdArguments = renderEtcdArguments({
          version,
          memberName: member.name,
          ip: member.ip,
          token: tenant.incarnation.token,
          initialCluster: etcdCluster(tenant),
          initialClusterState: 'existing',
          spec: {
            quotaMiB: made.quotaMiB,
            autoCompaction: made.autoCompaction ?? tenant.spec.autoCompaction,
          },
        });
        const failed = await attempt(async () => {
          const target = { tenant, ip: member.ip };
          await nannies.swap(target, fenceOf(tenant), { etcdVersion: version, etcdArguments });
          return undefined;
        });
        if (failed) return failed;
      }
      return {
        message: `${member.name} runs etcd ${version} on the same disk.`,
        recordsWhatExists: true,
        mutate: (stored) => {
          const known = stored.members[member.name];
          return known?.state === 'voting'
            ? withoutBackoff(withMember(stored, { ...known, made }))
            : undefined;
        },
      };
    },
  };

  /** Out of etcd's list, if it is in it. @returns why not, or undefined when it is out */
  async function takeOut(member: Member, context: PerformContext): Promise<Outcome | undefined> {
    const { tenant, observation, now } = context;
    const recorded = 'etcdId' in member ? member.etcdId : undefined;
    const etcdId = recorded ?? listedId(tenant, observation, now, member.name);
    if (etcdId === undefined) return undefined;
    const target = voterOf(context, member.name);
    if (target === undefined) return notYet(nobody);
    return attempt(async () => {
      try {
        await nannies.removeMember(target, fenceOf(tenant), etcdId);
      } catch (error) {
        if (!(error instanceof ControlPlaneError) || error.code !== 'member-not-found') throw error;
      }
      return undefined;
    });
  }
}

/** Only the newer minor knows the way down. */
function newestVoter({ tenant, observation, now }: PerformContext): NannyTarget | undefined {
  const version = (name: string): string => statusOf(name, tenant, observation)?.self?.version ?? '0.0.0';
  const { healthy, leader } = quorumView(tenant, observation, now);
  const [voter] = [...healthy].sort(
    (a, b) =>
      compareVersions(version(b.name), version(a.name)) || Number(b === leader) - Number(a === leader),
  );
  return voter && { tenant, ip: voter.ip };
}

const listedId = (tenant: TenantRecord, observation: Observation, now: Date, name: string) =>
  entryOf(tenant, quorumView(tenant, observation, now).listed, name)?.etcdId;

function withLeaving(
  stored: TenantRecord,
  name: string,
  reason: string,
  now: Date,
): TenantRecord | undefined {
  const member = stored.members[name];
  if (member === undefined) return undefined;
  const { etcdId: _etcdId, ...left } = leaving(member, reason, now.toISOString());
  const { [name]: _request, ...requests } = stored.replaceRequests ?? {};
  const { replaceRequests: _replaceRequests, ...rest } = stored;
  const next = {
    ...withMember(rest, left),
    ...(Object.keys(requests).length > 0 && { replaceRequests: requests }),
  };
  // A newcomer that did not make it: the next one comes later and later.
  const failedNewcomer = ['launching', 'joined', 'learner'].includes(member.state);
  return failedNewcomer ? withBackoff(next, reason, now) : next;
}

const withMember = (tenant: TenantRecord, member: Member): TenantRecord => withMembers(tenant, [member]);

const nobody = 'no healthy voter can be asked';
export const notYet = (reason: string): Outcome => ({ message: reason, notYet: reason });
/** The record has moved on since the step was decided. */
const nothingToDo = (why: string): Outcome => notYet(why);

export const fenceOf = (tenant: TenantRecord): number => tenant.lease?.fence ?? tenant.fence;

export async function attempt<T extends Outcome | undefined>(call: () => Promise<T>): Promise<T | Outcome> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof LeaseLostError) throw error;
    if (error instanceof ControlPlaneError && error.retryable) return notYet(error.message);
    throw error;
  }
}
