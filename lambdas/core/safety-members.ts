import { membersIn, quorumOf } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import { type QuorumView, quorumView, tellOf, votesAlready } from './primitives/quorum-view.ts';
import type { Rule, SafetyContext } from './safety.ts';
import { restartsEtcd } from './safety-authority.ts';
import { spreadExcess, zoneCounts } from './spread.ts';
import type { RequestMembers } from './step.ts';

/** S1, S2 and S4 for clusters that have formed. */

const viewOf = ({ tenant, observation, now }: SafetyContext): QuorumView =>
  quorumView(tenant, observation, now);

/** S1: the healthy voters that stay are a quorum of the membership that stays; unhealthy members go first. */
export const keepQuorum: Rule = (context) => {
  const { step, tenant } = context;
  switch (step.kind) {
    case 'remove-member':
      return keepQuorumWithout(step.member, context);
    case 'swap-binary':
    case 'renew-certificates':
    case 'defragment': {
      if (step.kind !== 'defragment' && !restartsEtcd(step, tenant, context.observation)) return undefined;
      // Away for a moment, but still a voter: the others have to be a quorum without it. One member alone has no others.
      const view = viewOf(context);
      const others = view.healthy.filter((voter) => voter.name !== step.member).length;
      return view.voters.length > 1 && others < view.quorum
        ? `while ${step.member} is away only ${others} of ${view.voters.length} voters are healthy and ${view.quorum} are needed`
        : undefined;
    }
    case 'move-leadership': {
      const view = viewOf(context);
      return view.healthy.some((voter) => voter.name === step.to)
        ? undefined
        : `${step.to} is not a healthy voter of ${tenant.tenantId}: it cannot lead`;
    }
    default:
      return undefined;
  }
};

function keepQuorumWithout(name: string, context: SafetyContext): string | undefined {
  if (context.tenant.members[name]?.state !== 'voting') return undefined;
  const view = viewOf(context);
  if (view.vanished.some((voter) => voter.name === name)) return undefined;
  const stay = view.voters.length - 1;
  const healthy = view.healthy.filter((voter) => voter.name !== name);
  if (stay < 1 || healthy.length < quorumOf(stay)) {
    return `without ${name} ${healthy.length} healthy voters of ${stay} would stay, and ${quorumOf(Math.max(stay, 1))} are needed`;
  }
  const others = view.voters.filter((voter) => voter.name !== name && !healthy.includes(voter));
  return healthy.length < view.healthy.length && others.length > 0
    ? `${name} is healthy and ${tellOf(view, others)} is not: unhealthy members go first`
    : undefined;
}

/** S2: one membership change in flight, one learner, nothing while a voter is not healthy or the view is ambiguous. */
export const oneMembershipChange: Rule = (context) => {
  const { step, tenant } = context;
  switch (step.kind) {
    case 'request-members':
      return standsIn(step, context) ?? tooManyWanted(tenant, step.zones.length);
    case 'add-learner':
      return whyNotAdd(step.member, context);
    case 'promote':
      return whyNotPromote(step.member, context);
    case 'remove-member':
      return whyNotRemove(step.member, context);
    case 'swap-binary':
    case 'renew-certificates': {
      if (!restartsEtcd(step, tenant, context.observation)) return undefined;
      const { ambiguous, healthy, voters, listed } = viewOf(context);
      if (ambiguous) return `the view is ambiguous: ${ambiguous}`;
      const away = voters.filter((voter) => !healthy.includes(voter) && voter.name !== step.member);
      if (away.length > 0)
        return `${away.map((voter) => voter.name).join(', ')} is not healthy: one at a time`;
      return listed?.some((entry) => entry.isLearner) ? 'a learner is on its way in' : undefined;
    }
    default:
      return undefined;
  }
};

/** Asked for before the other one is out, which only one that is lost allows: else it would be a surge. */
function standsIn({ insteadOf }: RequestMembers, context: SafetyContext): string | undefined {
  if (insteadOf === undefined) return undefined;
  const lost = viewOf(context).sick.some((voter) => voter.name === insteadOf);
  return lost ? undefined : `${insteadOf} is not known to be lost: nobody takes its place`;
}

function tooManyWanted(tenant: TenantRecord, more: number): string | undefined {
  const newcomers = membersIn(tenant, 'requested', 'launching', 'joined', 'learner');
  if (newcomers.length + more > 1) {
    return `${newcomers.map((member) => member.name).join(', ') || 'more than one'} is on its way in: one newcomer at a time`;
  }
  const wanted = membersIn(tenant, 'voting').length + more;
  return wanted > tenant.spec.members + 1
    ? `${wanted} members would be there and the spec says ${tenant.spec.members}, one more while one is replaced`
    : undefined;
}

function whyNotAdd(name: string, context: SafetyContext): string | undefined {
  const { tenant } = context;
  const view = viewOf(context);
  if (view.ambiguous) return `the view is ambiguous: ${view.ambiguous}`;
  const member = tenant.members[name];
  if (member?.state !== 'joined') return `${name} is not a task that has joined`;
  const other = membersIn(tenant, 'learner')[0];
  if (other) return `${other.name} is a learner already: one at a time`;
  const going = membersIn(tenant, 'leaving').find((each) => each.etcdId !== undefined);
  if (going) return `${going.name} is still to be removed: one change at a time`;
  if (view.downgradeTo) return `a downgrade to ${view.downgradeTo} is enabled: nobody can join`;
  return unwell(view);
}

function whyNotPromote(name: string, context: SafetyContext): string | undefined {
  const view = viewOf(context);
  if (view.ambiguous) return `the view is ambiguous: ${view.ambiguous}`;
  if (context.tenant.members[name]?.state !== 'learner') return `${name} is not a learner`;
  // Nothing changes but the record.
  if (votesAlready(context.tenant, view, name)) return undefined;
  return unwell(view);
}

const unwell = (view: QuorumView): string | undefined =>
  view.healthy.length < view.voters.length
    ? `${tellOf(
        view,
        view.voters.filter((voter) => !view.healthy.includes(voter)),
      )} is not healthy: it is removed before anybody is added`
    : undefined;

function whyNotRemove(name: string, context: SafetyContext): string | undefined {
  const { tenant } = context;
  // Others are no voters: whether etcd knows them or not, quorum does not change.
  if (tenant.members[name]?.state !== 'voting') return undefined;
  const view = viewOf(context);
  if (view.vanished.some((voter) => voter.name === name)) return undefined;
  if (view.ambiguous) return `the view is ambiguous: ${view.ambiguous}`;
  const wellAnyway = view.healthy.some((voter) => voter.name === name);
  const learner = membersIn(tenant, 'learner')[0];
  if (wellAnyway && learner) return `${learner.name} is on its way in: one change at a time`;
  const doubtful = view.unsure.filter((voter) => voter.name !== name);
  if (view.unsure.some((voter) => voter.name === name)) {
    return `only one source says that ${name} is gone`;
  }
  return doubtful.length > 0 && view.healthy.length <= view.quorum
    ? `quorum holds only just, and nobody is sure of ${tellOf(view, doubtful)}`
    : undefined;
}

/**
 * S4 for a formed cluster. A newcomer goes to the emptiest zone; a surge newcomer to any from which somebody can leave
 * so that the spread is no worse than before. A zone that has been out longer than the tenant's hold does not count.
 */
export function spreadWithNewcomer(step: RequestMembers, context: SafetyContext): string | undefined {
  const { tenant, now } = context;
  const [zone] = step.zones;
  if (zone === undefined) return undefined;
  const out = step.zoneOut;
  if (out !== undefined) {
    const held = (now.getTime() - Date.parse(out.since)) / 60_000;
    if (held < tenant.spec.zoneOutageHoldMinutes) {
      return `${out.zone} has been out for ${Math.floor(held)} minutes; doubling up elsewhere waits for ${tenant.spec.zoneOutageHoldMinutes}`;
    }
  }
  const zones = context.zones.filter((each) => each !== out?.zone);
  const placed = membersIn(tenant, 'voting', 'requested', 'launching', 'joined', 'learner')
    .filter((member) => member.name !== step.insteadOf)
    .map((member) => member.zone);
  if (placed.length + 1 > tenant.spec.members) {
    const after = [...placed, zone];
    const best = Math.min(...placed.map((_, index) => spreadExcess(zones, after.toSpliced(index, 1))));
    return best > spreadExcess(zones, placed)
      ? `whoever leaves for a newcomer in ${zone}, the zones would be fuller by more than one (${shown(zones, after)})`
      : undefined;
  }
  const counts = zoneCounts(zones, placed);
  const least = Math.min(...zones.map((each) => counts.get(each)!));
  return (counts.get(zone) ?? 0) > least
    ? `${zone} is not the emptiest zone (${shown(zones, placed)}): members per zone would differ by more than one, or one zone hold a majority`
    : undefined;
}

/** S4: a healthy member leaves only from where the spread stays as even as it can be. */
export function spreadWithoutMember(name: string, context: SafetyContext): string | undefined {
  const { tenant, zones } = context;
  const view = viewOf(context);
  if (!view.healthy.some((voter) => voter.name === name)) return undefined;
  const without = (gone: string): number =>
    spreadExcess(
      zones,
      view.voters.filter((voter) => voter.name !== gone).map((voter) => voter.zone),
    );
  const better = view.voters.find((voter) => without(voter.name) < without(name));
  return better
    ? `the zones stay more even when ${better.name} in ${better.zone} leaves than ${name} in ${tenant.members[name]!.zone}`
    : undefined;
}

const shown = (zones: readonly string[], placed: readonly string[]): string =>
  [...zoneCounts(zones, placed)].map(([zone, members]) => `${zone}: ${members}`).join(', ');
