import { wantedMembers } from '../members.ts';
import type { Member } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { chooseZones, spreadExcess } from '../spread.ts';
import type { Observation } from '../step.ts';
import { isOutdated, type TaskDefinitions } from './outdated.ts';
import { type QuorumView, statusOf, type Voter } from './quorum-view.ts';

/** The emptiest zone for one more member. @param turn see chooseZones */
export const zoneForNewcomer = (tenant: TenantRecord, zones: readonly string[], turn = 0): string =>
  chooseZones(
    zones,
    wantedMembers(tenant).map((member) => member.zone),
    1,
    turn,
  )[0]!;

/**
 * Entries that a member in sync may seem to be behind: clients write, and each member is asked at a moment of its own. To
 * one that really lags etcd hands nothing over, and takes no writes while it tries.
 */
const inSyncGap = 500;

/**
 * Members that stay before members that are to be replaced on request, those in sync before others; then whoever has run
 * longest: etcd refuses every change of members until its leader has been connected to all of them for 5 s
 * (HealthInterval), which whoever has just come has not.
 */
export function chooseSuccessor(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
  leaves: string,
): Voter | undefined {
  const candidates = view.healthy.filter((voter) => voter.name !== leaves);
  const index = (voter: Voter): number =>
    statusOf(voter.name, tenant, observation)?.self?.raftAppliedIndex ?? 0;
  const furthest = Math.max(...candidates.map(index));
  const runsSince = ({ joinedAt, made }: Voter): number =>
    Math.max(Date.parse(joinedAt), Date.parse(made?.swappedAt ?? joinedAt));
  const keys = (voter: Voter): number[] => [
    voter.name in (tenant.replaceRequests ?? {}) ? 1 : 0,
    furthest - index(voter) > inSyncGap ? 1 : 0,
    runsSince(voter),
  ];
  return candidates.sort((a, b) => compare(keys(a), keys(b)) || byName(a, b))[0];
}

export interface Leavers {
  readonly zones: readonly string[];
  readonly taskDefinitions: TaskDefinitions;
  /** Nobody is replaced for being outdated: another way brings them up to date. */
  readonly keepOutdated?: boolean;
}

/**
 * Who leaves when there is one voter too many: unhealthy first, then whoever is to be replaced anyway, then whoever
 * leaves the best spread over the zones, then whose name is out already (so that a choice made stays made), the
 * leader last.
 */
export function chooseLeaver(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
  { zones, taskDefinitions, keepOutdated }: Leavers,
): Voter {
  const replaced = (voter: Voter): boolean =>
    voter.name in (tenant.replaceRequests ?? {}) ||
    (!keepOutdated && isOutdated(tenant, voter, taskDefinitions));
  const surge = view.voters.some(replaced) && view.voters.some((voter) => !replaced(voter));
  const keys = (voter: Voter): number[] => [
    view.sick.includes(voter) ? 0 : 1,
    // While members are replaced, the spread is that of the zone the newcomer was made for: it comes first.
    spreadExcess(
      zones,
      view.voters.filter((other) => other !== voter).map((other) => other.zone),
    ),
    surge && !replaced(voter) ? 1 : 0,
    tenant.nameServiceId !== undefined && observation.names.includes(voter.name) ? 1 : 0,
    view.leader === voter ? 1 : 0,
  ];
  return [...view.voters].sort((a, b) => compare(keys(a), keys(b)) || byName(a, b))[0]!;
}

/** Who is replaced next: by request first, then outdated ones, the leader last. */
export function chooseReplaced(
  tenant: TenantRecord,
  view: QuorumView,
  { taskDefinitions, keepOutdated }: Omit<Leavers, 'zones'>,
): { member: Voter; reason: string } | undefined {
  const requests = tenant.replaceRequests ?? {};
  const last = (voter: Voter): number => Number(view.leader === voter);
  const candidates = [...view.voters].sort((a, b) => last(a) - last(b) || byName(a, b));
  const asked = candidates.find((voter) => voter.name in requests);
  if (asked) return { member: asked, reason: requests[asked.name]! };
  if (keepOutdated) return undefined;
  const member = candidates.find((voter) => isOutdated(tenant, voter, taskDefinitions));
  return member && { member, reason: 'it is not what the spec says' };
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((key, index) => key !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}

const byName = (a: Member, b: Member): number => (a.name < b.name ? -1 : 1);
