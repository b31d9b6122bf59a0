import { membersIn } from '../members.ts';
import type { MemberIn } from '../model/member.ts';
import type { RestoreSource } from '../model/restore.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { statusOf } from '../primitives/index.ts';
import { type Observation, taskState } from '../step.ts';
import type { EtcdStatus } from '../wire/admin.ts';

export interface Survivor {
  readonly member: MemberIn<'voting' | 'learner'>;
  readonly self: EtcdStatus;
}

/**
 * Voters whose etcd still answers, the best source first (S6): highest term, then index, then what it has applied. Who
 * votes is etcd's to say: a learner of the record may have been promoted just before the others were lost.
 */
export function survivorsOf(tenant: TenantRecord, observation: Observation): Survivor[] {
  return membersIn(tenant, 'voting', 'learner')
    .flatMap((member): Survivor[] => {
      const status = statusOf(member.name, tenant, observation);
      const self = status?.self;
      return self === undefined || self.isLearner || status?.etcd.state === 'data-lost'
        ? []
        : [{ member, self }];
    })
    .sort(
      (a, b) =>
        b.self.raftTerm - a.self.raftTerm ||
        b.self.raftIndex - a.self.raftIndex ||
        b.self.raftAppliedIndex - a.self.raftAppliedIndex ||
        (a.member.name < b.member.name ? -1 : 1),
    );
}

/** Strictly: of equals none is better. */
export const isBetterSource = (a: Survivor, b: Survivor): boolean =>
  a.self.raftTerm > b.self.raftTerm ||
  (a.self.raftTerm === b.self.raftTerm && a.self.raftIndex > b.self.raftIndex);

/**
 * Who has more than what was saved, and still runs: a member that was out of reach then, or one that a moment of quorum
 * has brought further. A snapshot holds what is applied, so its revision is what tells.
 */
export const furtherThan = (
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { revision }: RestoreSource,
): Survivor | undefined =>
  survivorsOf(tenant, observation).find(
    ({ member, self }) => self.revision > revision && taskState(member, observation, now) === 'running',
  );

/**
 * What may be lost by going on from this survivor, for people, before anything is done. A follower has all that it
 * has acknowledged; writes that only the lost members had are gone.
 */
export function lossOf(tenant: TenantRecord, { member, self }: Survivor, lost: readonly string[]): string {
  const { revision, raftTerm, raftIndex, raftAppliedIndex } = self;
  const known = tenant.highestRevision;
  const behind =
    known > revision
      ? `Revision ${known} was seen before: ${known - revision} revisions may be missing.`
      : `No higher revision was ever reported (${known}).`;
  const unapplied =
    raftIndex > raftAppliedIndex
      ? ` ${raftIndex - raftAppliedIndex} entries that it had received but not applied are lost too.`
      : '';
  return `Best source is ${member.name} in ${member.zone} (term ${raftTerm}, index ${raftIndex}, revision ${revision}). ${behind}${unapplied} Writes that only ${lost.join(', ')} had when they were lost are lost: at most those acknowledged within the last replication round.${notCompared(tenant, lost)}`;
}

/** decisions/0122: a copy of a disk takes longer than the whole recovery, and the cluster does not serve meanwhile. */
function notCompared({ members, spec }: TenantRecord, lost: readonly string[]): string {
  const kept = lost.filter((name) => (members[name]?.made?.volume ?? spec.volume) === 'ebs');
  if (kept.length === 0) return '';
  return ` ${kept.length === 1 ? 'The disk' : 'The disks'} of ${kept.join(', ')} may hold that round; nobody waits for a copy to compare it with.`;
}
