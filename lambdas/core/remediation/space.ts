import { fullShare, quotaUsed } from '../machine-conditions.ts';
import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { chooseSuccessor, type QuorumView, statusOf, type Voter, waitSoon } from '../primitives/index.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { windowOpens } from '../window.ts';

const MiB = 1024 * 1024;
/** Disarmed only at or below this: just below the quota the next writes would raise the alarm again. */
export const roomyShare = 0.8;
/** Revisions of history that stay at first: watches that were cut for a moment go on; none stay if that is not enough. */
export const revisionsKept = 1_000;
const fragmentedShare = 0.45;
const fragmentedBytes = 100 * MiB;
/** Less than this to be won is not worth blocking a member for. */
const worthBytes = 1 * MiB;
const worthShare = 0.05;
/** etcd's own advice is not to go beyond 8 GiB. */
const largestQuotaMiB = 8192;

export interface Space {
  readonly nospace: boolean;
  /** dbSize of the fullest member, as a share of the quota. */
  readonly share: number;
  readonly fragmented: readonly string[];
}

/** How full and how fragmented the members' databases are, from the voters that answer. */
export function spaceOf(tenant: TenantRecord, observation: Observation): Space {
  const voters = membersIn(tenant, 'voting').flatMap((voter) => {
    const status = statusOf(voter.name, tenant, observation);
    return status?.self === undefined ? [] : [{ voter, status, self: status.self }];
  });
  return {
    nospace: voters.some(({ status }) => status.alarms.some(({ alarm }) => alarm === 'NOSPACE')),
    share: quotaUsed(tenant, observation),
    fragmented: voters
      .filter(({ self }) => {
        const unused = self.dbSize - self.dbSizeInUse;
        return unused > fragmentedBytes && unused > self.dbSize * fragmentedShare;
      })
      .map(({ voter }) => voter.name),
  };
}

export const isShort = ({ nospace, share }: Space): boolean => nospace || share > fullShare;

/** Defragmentation for its own sake only in the tenant's window: each member stands still for a while. */
export const mayDefragment = (tenant: TenantRecord, { fragmented }: Space, now: Date): boolean =>
  fragmented.length > 0 && windowOpens(tenant.spec.maintenanceWindow, now) === undefined;

/**
 * NOSPACE, a nearly full quota, fragmentation: compact, defragment one by one with the leader last, disarm. If that
 * does not help, a larger quota as far as the disk can hold it.
 *
 * @returns undefined when there is room
 */
export function makeRoom(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const space = spaceOf(tenant, observation);
  const progress = tenant.remediation?.space;
  const tidying = progress === undefined && mayDefragment(tenant, space, now);
  if (!isShort(space) && !tidying && progress === undefined) return undefined;
  // Of two voters neither may be away for a moment (S1). Two are only on the way to another number: that goes on first.
  if (view.voters.length === 2) return undefined;
  const unwell = view.voters.length - view.healthy.length;
  if (unwell > 0) return waitSoon('wait-for-voters', 'room is made when all members are well', 5);

  const compaction = isShort(space) ? compact(tenant, observation, view, space) : undefined;
  if (compaction) return compaction;
  const defragmentation = defragment(tenant, observation, view);
  if (defragmentation) return defragmentation;
  if (space.nospace && space.share <= roomyShare) return step({ kind: 'disarm' });
  const harder = space.nospace ? compactAll(tenant, observation, view) : undefined;
  if (harder) return harder;
  // A larger quota that has not reached every member yet has to do so before a still larger one is thought of.
  const { quotaMiB } = tenant.spec;
  if (view.voters.some(({ made }) => made !== undefined && made.quotaMiB < quotaMiB)) return undefined;
  return isShort(space) ? enlarge(tenant, space) : undefined;
}

/** Kubernetes (autoCompaction off) compacts itself and relies on its history: there only NOSPACE makes us compact. */
function compact(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
  { nospace }: Space,
): Decision | undefined {
  if (tenant.spec.autoCompaction.mode === 'off' && !nospace) return undefined;
  if (tenant.remediation?.space?.kept !== undefined) return undefined;
  const revision = newestRevision(tenant, observation, view);
  return revision > revisionsKept
    ? step({ kind: 'compact', revision: revision - revisionsKept, kept: revisionsKept })
    : undefined;
}

/** What was kept at first is too much: under NOSPACE nobody can write, which is worse than a watch that starts anew. */
function compactAll(tenant: TenantRecord, observation: Observation, view: QuorumView): Decision | undefined {
  const revision = newestRevision(tenant, observation, view);
  return tenant.remediation?.space?.kept !== 0 && revision > 1
    ? step({ kind: 'compact', revision, kept: 0 })
    : undefined;
}

/** Followers one by one, then the leader after it has handed over; only those where something is to be won. */
function defragment(tenant: TenantRecord, observation: Observation, view: QuorumView): Decision | undefined {
  const { defragmented: done = [], kept } = tenant.remediation?.space ?? {};
  const sizeOf = (voter: Voter) => statusOf(voter.name, tenant, observation)?.self;
  const gain = (voter: Voter): { bytes: number; of: number } => {
    const self = sizeOf(voter);
    if (self === undefined) return { bytes: 0, of: 1 };
    const sizes = view.voters.filter(({ name }) => done.includes(name)).map(sizeOf);
    // The database of one that has been defragmented shows how small it can be. dbSizeInUse alone is too high after a
    // compaction: etcd counts what was freed only with its next write, and under NOSPACE there is none.
    const least = Math.min(self.dbSizeInUse, ...sizes.flatMap((size) => size?.dbSize ?? []));
    return { bytes: self.dbSize - least, of: self.dbSize };
  };
  const untold = kept !== undefined && done.length === 0;
  const worth = view.healthy.filter((voter) => {
    if (done.includes(voter.name)) return false;
    const { bytes, of } = gain(voter);
    return untold || bytes > worthBytes || bytes > of * worthShare;
  });
  const follower = worth.find((voter) => voter.name !== view.leader?.name);
  if (follower) return step({ kind: 'defragment', member: follower.name });
  const [leader] = worth;
  if (leader === undefined) return undefined;
  if (view.leader === undefined) return waitSoon('wait-for-leader', 'the leader is not known');
  const to = chooseSuccessor(tenant, observation, view, leader.name);
  // Alone: nobody to hand over to, and nobody else to serve meanwhile.
  return to
    ? step({ kind: 'move-leadership', from: leader.name, to: to.name })
    : step({ kind: 'defragment', member: leader.name });
}

/** The largest quota that a disk can hold: 2.2 times the database (snapshots, WAL) and half a GiB. */
export const quotaLimitMiB = (storageGiB: number): number =>
  Math.min(largestQuotaMiB, Math.floor(((storageGiB - 0.5) * 1024) / 2.2));

function enlarge(tenant: TenantRecord, { nospace, share }: Space): Decision | undefined {
  const { quotaMiB, storageGiB } = tenant.spec;
  const used = `the database uses ${Math.round(share * 100)} % of its quota of ${quotaMiB} MiB after compaction and defragmentation`;
  const wanted = Math.ceil((share * quotaMiB) / 0.7);
  const next = Math.min(quotaLimitMiB(storageGiB), Math.max(wanted, Math.ceil(quotaMiB * 1.25)));
  if (next * roomyShare > share * quotaMiB && next > quotaMiB) {
    return step({ kind: 'raise-quota', quotaMiB: next, reason: used });
  }
  const message = `${used}, and ${storageGiB} GiB of storage hold no larger one: delete keys, or give the tenant more storage and quota`;
  return nospace || share > fullShare
    ? step({ kind: 'end-remediation', message, tried: 'space' })
    : undefined;
}

const newestRevision = (tenant: TenantRecord, observation: Observation, view: QuorumView): number =>
  Math.max(0, ...view.healthy.map(({ name }) => statusOf(name, tenant, observation)?.self?.revision ?? 0));
