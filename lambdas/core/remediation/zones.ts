import { dueShard } from '../due-shard.ts';
import { membersIn } from '../members.ts';
import type { Member } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type QuorumView, type Voter, zoneForNewcomer } from '../primitives/index.ts';
import { spreadProblem, zoneCounts } from '../spread.ts';
import { type Decision, step } from '../step.ts';

/** AWS refuses to start a newcomer for that long, or it was started and does not join: its zone is out. */
const stuckMs = { requested: 30_000, launching: 3 * 60_000 };

/** Since when. A newcomer that nobody has tried to start yet, because we were busy or fell, says nothing of its zone. */
const stuckSince = (member: Extract<Member, { state: 'requested' | 'launching' }>): string | undefined =>
  member.state === 'launching' ? member.launchedAt : member.refusedSince;

export interface NewcomerZone {
  readonly zone: string;
  readonly zoneOut?: { readonly zone: string; readonly since: string };
}

/**
 * Where the next newcomer goes: the emptiest zone, which is the dead one's. When nobody could be brought up there for
 * `zoneOutageHoldMinutes`, the next emptiest: static stability first (S4).
 */
export function newcomerZone(tenant: TenantRecord, now: Date, zones: readonly string[]): NewcomerZone {
  const turn = dueShard(tenant.tenantId) % zones.length;
  const zone = zoneForNewcomer(tenant, zones, turn);
  const out = tenant.remediation?.zoneOut;
  if (out?.zone !== zone || !isHeldLongEnough(tenant, out.since, now)) return { zone };
  const others = zones.filter((each) => each !== zone);
  return { zone: zoneForNewcomer(tenant, others, turn % others.length), zoneOut: out };
}

/**
 * A newcomer is given up because its zone is out: at once when it was only meant to mend the spread, after the hold
 * when it is missing. That the zone is out is written down first.
 */
export function giveUpStuck(tenant: TenantRecord, now: Date): Decision | undefined {
  const [member] = membersIn(tenant, 'requested', 'launching');
  if (member === undefined) return undefined;
  const from = stuckSince(member);
  if (from === undefined) return undefined;
  const stuck = now.getTime() - Date.parse(from);
  if (stuck < stuckMs[member.state]) return undefined;
  const surge = membersIn(tenant, 'voting').length >= tenant.spec.members;
  // The cluster has been short of a member since its remediation began.
  const since = tenant.remediation?.since ?? member.requestedAt;
  if (!surge && !isHeldLongEnough(tenant, since, now)) return undefined;
  const { name, zone } = member;
  if (tenant.remediation?.zoneOut?.zone !== zone) return step({ kind: 'note-zone', zone, since });
  const reason = `nothing could be started in ${zone} for ${Math.round(stuck / 1000)} s`;
  return step({ kind: 'remove-member', member: name, reason });
}

const isHeldLongEnough = (tenant: TenantRecord, since: string, now: Date): boolean =>
  now.getTime() - Date.parse(since) >= tenant.spec.zoneOutageHoldMinutes * 60_000;

const zonesOf = (members: readonly Member[]): string[] => members.map((member) => member.zone);

export const uneven = (tenant: TenantRecord, zones: readonly string[]): boolean =>
  spreadProblem(zones, zonesOf(membersIn(tenant, 'voting'))) !== undefined;

/** Who leaves for a newcomer in `zone`: one of the fullest zone, the leader last. */
export function misplaced(
  tenant: TenantRecord,
  view: QuorumView,
  zones: readonly string[],
  zone: string,
): Voter | undefined {
  const counts = zoneCounts(zones, zonesOf(membersIn(tenant, 'voting')));
  const most = Math.max(...counts.values());
  return view.voters
    .filter((voter) => voter.zone !== zone && counts.get(voter.zone) === most)
    .sort((a, b) => Number(a === view.leader) - Number(b === view.leader))[0];
}
