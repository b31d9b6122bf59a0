import { membersIn } from '../members.ts';
import { deltaPrefix } from '../model/backup.ts';
import type { KeptDisk } from '../model/disk.ts';
import type { MemberIn } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { waitSoon } from '../primitives/decide.ts';
import { workTowards } from '../restore/prepare.ts';
import { bumpFor, ownState } from '../restore/source.ts';
import { type Decision, type Observation, step, taskState } from '../step.ts';
import { minorOf } from '../version-rules.ts';

/** A disk comes off its task within seconds; one that does not for so long is copied as it is. */
const detachMs = 5 * 60_000;
/** For so long that is what a stopping task looks like; from then on ECS and EBS say two different things. */
const passingMs = 60_000;

type Recovery = NonNullable<NonNullable<TenantRecord['remediation']>['recovery']>;
type Found<K extends string> = KeptDisk & {
  readonly found: Extract<NonNullable<KeptDisk['found']>, { kind: K }>;
};

export type LeftDisks =
  /** Not all that are to come are free yet. */
  | { readonly kind: 'coming'; readonly reason: string; readonly disagree: boolean }
  | {
      readonly kind: 'known';
      /** The likeliest to be furthest first. */
      readonly disks: readonly KeptDisk[];
      /** Members whose disks are gone, or never outlived their tasks. */
      readonly without: readonly string[];
    };

/**
 * Disks of the last known members. Those of members that had left before, or of a former incarnation, count for nothing:
 * the cluster went on without them. Needs an observation with disks.
 */
export function leftDisks(tenant: TenantRecord, observation: Observation, now: Date): LeftDisks {
  const { disks = [] } = observation;
  const since = Date.parse(tenant.remediation?.quorumLostSince ?? now.toISOString());
  const found: KeptDisk[] = [];
  const without: string[] = [];
  for (const member of [...membersIn(tenant, 'voting', 'learner')].sort(likelierFirst)) {
    const disk = disks.find(({ memberName, state }) => memberName === member.name && state !== 'gone');
    if (disk === undefined) {
      without.push(member.name);
      continue;
    }
    // Where a task runs on unseen there is no better copy to wait for; nothing is stopped before a source is safe.
    const ends = ['stopped', 'stopping'].includes(taskState(member, observation, now));
    const forMs = now.getTime() - since;
    if (disk.state === 'attached' && ends && forMs < detachMs) {
      const disagree = forMs >= passingMs;
      const until = new Date(since + detachMs).toISOString();
      const doubt = `the disk of ${member.name} is in use, and ECS says that its task has stopped: one of the two is wrong. If that lasts until ${until}, the disk is copied as it is`;
      return {
        kind: 'coming',
        reason: disagree ? doubt : `the disk of ${member.name} is not free yet`,
        disagree,
      };
    }
    found.push({ member: member.name, zone: member.zone, volumeId: disk.volumeId });
  }
  return { kind: 'known', disks: found, without };
}

/** The leader has acknowledged most; what the first disk reaches, the others need not publish again. */
function likelierFirst(a: MemberIn<'voting' | 'learner'>, b: MemberIn<'voting' | 'learner'>): number {
  const rank = (one: typeof a): number => (one.state === 'learner' ? 2 : one.seen?.isLeader ? 0 : 1);
  return rank(a) - rank(b);
}

/** What goes with the disks, for people, before anything is done. */
export function lossWithDisks(
  tenant: TenantRecord,
  { disks, without }: Extract<LeftDisks, { kind: 'known' }>,
): string {
  const kept = disks.map(({ member }) => member).join(', ');
  const told = `The disks of ${kept} are kept${without.length > 0 ? `, those of ${without.join(', ')} are gone` : ''}: each is looked at, and the one that reaches furthest is the source.`;
  const voters = membersIn(tenant, 'voting').length;
  const most = disks.length > voters / 2;
  return most
    ? `${told} Lost is at most what was acknowledged within the last replication round.`
    : `${told} They are no majority: what the others alone had acknowledged is lost.`;
}

/** @returns undefined when every disk has been looked at */
export function lookAtDisks(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { disks = [] }: Recovery,
): Decision | undefined {
  const uncopied = disks.filter(({ snapshotId, found }) => !snapshotId && !found);
  if (uncopied.length > 0) {
    return step({ kind: 'copy-disks', members: uncopied.map(({ member }) => member) });
  }
  const next = disks.find(({ found }) => found === undefined);
  if (next?.snapshotId === undefined) return undefined;
  const { member, zone, snapshotId, alone } = next;
  const best = bestDisk(disks);
  const view = workTowards(tenant, observation, now, {
    operationId: tenant.remediation!.operationId,
    zone: tenant.work?.zone ?? zone,
    snapshotId,
    // It may hold the latest writes: nothing worse is taken because of what passes.
    untiring: true,
    order: {
      etcdVersion: versionOf(tenant, member),
      source: { kind: 'disk' },
      ...(!alone && {
        deltas: { prefix: deltaPrefix(tenant.cell, tenant.tenantId, tenant.incarnation.number) },
      }),
    },
    ...(best && { outputAbove: best.found.revision }),
  });
  switch (view.kind) {
    case 'decision':
      return view.decision;
    case 'done': {
      const { revision, keys, replayed, output } = view.result;
      const source = output && {
        kind: 'disk' as const,
        ...output,
        revision,
        bumpRevision: bumpFor(tenant, revision),
        madeOf: ownState(tenant),
      };
      return step({
        kind: 'note-disk',
        member,
        finding: { kind: 'usable', revision, keys, replayed, ...(source && { source }) },
      });
    }
    case 'failed': {
      const { code, problem } = view.failure;
      // Only segments can be damaged here, or leave a gap: the disk may be good for itself.
      const kind = !alone && (code === 'damaged' || code === 'gap') ? 'alone' : 'useless';
      return step({ kind: 'note-disk', member, finding: { kind, problem } });
    }
  }
}

/** Of those looked at: the one that reaches furthest and is published. */
export const bestDisk = (disks: readonly KeptDisk[]): Found<'usable'> | undefined =>
  disks
    .filter((disk): disk is Found<'usable'> => disk.found?.kind === 'usable' && !!disk.found.source)
    .sort((a, b) => b.found.revision - a.found.revision)[0];

/** Disks first; a backup only where it is known to reach further than each of them (S6). */
export const diskIsBest = ({ disks = [], pin }: Recovery): string | undefined => {
  const best = bestDisk(disks);
  return best && best.found.revision >= (pin?.expectedRevision ?? 0) ? best.member : undefined;
};

/** For people: what each disk came to. */
export const tellFindings = ({ disks = [] }: Pick<Recovery, 'disks'>): string =>
  disks
    .map(({ member, found }) => {
      const what =
        found?.kind === 'usable' ? `revision ${found.revision}` : (found?.problem ?? 'not looked at');
      return `${member}: ${what}`;
    })
    .join('; ');

export const isLookedAt = ({ disks = [] }: Pick<Recovery, 'disks'>): boolean =>
  disks.every(({ found }) => found !== undefined);

export const waitForDisks = (reason: string): Decision => waitSoon('wait-for-disks', reason, 5);

/** Data is opened with the minor that has written it; of its releases every image has the wanted one. */
function versionOf({ members, spec }: TenantRecord, name: string): string {
  const member = members[name];
  const seen = member !== undefined && 'seen' in member ? member.seen?.version : undefined;
  const version = seen ?? member?.made?.version ?? spec.version;
  return minorOf(version) === minorOf(spec.version) ? spec.version : version;
}
