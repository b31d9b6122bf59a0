import { type Backup, type DeltaRef, deltaPrefix } from '../model/backup.ts';
import type { RestoreTarget } from '../model/restore.ts';
import type { Catalogue, OrderWork } from '../step.ts';
import { beginningOf } from './beginning.ts';
import { type Chain, chainOf, closedAtMs, type Until } from './chain.ts';

export interface Choice {
  readonly kind: 'chosen';
  readonly full: Backup;
  /** Behind it, in order. */
  readonly segments: readonly DeltaRef[];
  /** The highest revision that comes of it; with a time, fewer may: the records tell when they were seen. */
  readonly revision: number;
  /** What has to be fetched. */
  readonly bytes: number;
  readonly estimatedSeconds: number;
  /** Nothing that was written before is missing; what came later is lost. */
  readonly coveredUntil: string;
  /** For the worker. */
  readonly until?: NonNullable<OrderWork['order']['until']>;
  /** Keys of damaged segments: the worker must not use them either. */
  readonly except?: readonly string[];
  /** Segments are missing or damaged: what lies behind them cannot be had. */
  readonly gap?: { readonly from: number; readonly to: number };
}

export type Chosen = Choice | { readonly kind: 'none'; readonly problem: string };

/**
 * The full backup and the segments that a restore begins with. Never beyond the target, never over a gap, never of what is
 * known to be damaged; of several that will do, the one with the least to replay.
 */
export function chooseBackup(target: RestoreTarget, catalogue: Catalogue): Chosen {
  if (catalogue.backups.length === 0) return none('there is no backup of this tenant');
  switch (target.kind) {
    case 'newest':
      return newest(catalogue);
    case 'revision':
      return atRevision(catalogue, target.revision);
    case 'time':
      return atTime(catalogue, target.at);
  }
}

const usable = (backup: Backup): boolean => backup.damaged === undefined;

/** Neither known to be damaged nor gone by name. */
const usableIn = ({ backups, objects }: Catalogue): Backup[] => {
  const there = new Set(objects.map(({ key }) => key));
  return backups.filter((backup) => usable(backup) && there.has(backup.key));
};

/** Keys of segments that were found damaged, of one incarnation. */
const damagedSegments = ({ backups }: Catalogue, incarnation: number): Set<string> =>
  new Set(
    backups
      .filter((backup) => backup.incarnation === incarnation)
      .flatMap((backup) => (backup.damagedSegments ?? []).map(({ key }) => key)),
  );
/** Of two that reach as far, one that was taken goes before what the incarnation began from. */
const furthestFirst = (a: Backup, b: Backup): number =>
  b.revision - a.revision ||
  Number(a.madeOf !== undefined) - Number(b.madeOf !== undefined) ||
  (a.backupId < b.backupId ? 1 : -1);

/** Newest first. */
const incarnationsOf = ({ backups }: Catalogue): number[] =>
  [...new Set(backups.map(({ incarnation }) => incarnation))].sort((a, b) => b - a);

const fullsOf = (catalogue: Catalogue, incarnation: number): Backup[] =>
  usableIn(catalogue)
    .filter((backup) => backup.incarnation === incarnation)
    .sort(furthestFirst);

interface Behind {
  readonly chain: Chain;
  /** Keys of segments that it goes round, or ends before. */
  readonly except: readonly string[];
}

function behind(catalogue: Catalogue, full: Backup, until?: Until): Behind {
  const all = catalogue.deltas[full.incarnation] ?? [];
  const damaged = damagedSegments(catalogue, full.incarnation);
  const sound = all.filter(({ key }) => !damaged.has(key));
  const bad = all.filter(({ key, last }) => damaged.has(key) && last > full.revision);
  const chain = chainOf(full.revision, sound, until);
  const end = Math.max(0, ...bad.map(({ last }) => last));
  // A damaged one at the very end leaves no gap that names would tell of.
  const ends = chain.kind === 'whole' && until === undefined && end > chain.last;
  return {
    chain: ends ? { ...chain, kind: 'gap', from: chain.last + 1, to: end } : chain,
    except: bad.map(({ key }) => key),
  };
}

/**
 * The present incarnation's, or where it has none that can be used, the state that it was made of: never what a
 * restore has taken back.
 */
function newest(catalogue: Catalogue): Chosen {
  const { backups, first = 1 } = catalogue;
  /** What the incarnation seen last was made of, where that is known. */
  let made: Backup['madeOf'];
  for (const incarnation of incarnationsOf(catalogue)) {
    if (made !== undefined && incarnation > made.incarnation) continue;
    if (made === undefined && incarnation < first) {
      return none(
        'there is no full backup yet that can be used, only those of a deleted tenant of the same name',
      );
    }
    const until = made?.incarnation === incarnation ? { revision: made.revision } : undefined;
    const isWithin = ({ revision }: Backup): boolean => until === undefined || revision <= until.revision;
    const full =
      made !== undefined && until === undefined ? undefined : fullsOf(catalogue, incarnation).find(isWithin);
    if (full !== undefined) {
      // No older one can reach further: its segments lead over this one's revision.
      const found = behind(catalogue, full, until);
      const { chain } = found;
      return chosen(full, found, chain.kind === 'gap' ? { revision: chain.last } : until);
    }
    const before = beginningOf(backups, incarnation)?.madeOf;
    if (before !== undefined && before.tenantId !== backups[0]!.tenantId) {
      return none(
        `every full backup of this tenant is damaged or missing; it began as a clone of "${before.tenantId}"`,
      );
    }
    if (made !== undefined && before === undefined) {
      return none(
        `no full backup is left of what the cluster was made of (revision ${made.revision} of incarnation ${made.incarnation}); what came after that a restore has taken back: it is to be had by its revision or time only`,
      );
    }
    made = before;
  }
  return none('every full backup of this tenant is damaged or missing');
}

function atRevision(catalogue: Catalogue, revision: number): Chosen {
  let gap: string | undefined;
  for (const incarnation of incarnationsOf(catalogue)) {
    for (const full of fullsOf(catalogue, incarnation).filter((each) => each.revision <= revision)) {
      const found = behind(catalogue, full, { revision });
      const { chain } = found;
      if (chain.kind === 'whole') return chosen(full, found, { revision });
      gap ??= `behind backup ${full.backupId} (revision ${full.revision}) revisions ${chain.from} to ${chain.to} are not there`;
    }
  }
  return none(
    gap === undefined
      ? tooEarly(catalogue, `revision ${revision}`)
      : `revision ${revision} cannot be had: ${gap}`,
  );
}

function atTime(catalogue: Catalogue, at: string): Chosen {
  const atMs = Date.parse(at);
  const isBefore = ({ contentAt }: Backup): boolean => Date.parse(contentAt) <= atMs;
  // Damaged ones too: they tell which incarnation was the tenant's then.
  const incarnation = incarnationsOf(catalogue).find((each) =>
    catalogue.backups.some((backup) => backup.incarnation === each && isBefore(backup)),
  );
  if (incarnation === undefined) return none(tooEarly(catalogue, at));
  const [full] = fullsOf(catalogue, incarnation).filter(isBefore);
  if (full === undefined) return none(`every full backup of before ${at} is damaged or missing`);
  const found = behind(catalogue, full, { atMs });
  const { chain } = found;
  const missing = missingBefore(catalogue, full, chain, atMs);
  if (missing !== undefined) {
    return none(
      `${at} cannot be had: behind backup ${full.backupId} of ${full.contentAt} revisions ${missing.from} to ${missing.to} are not there; ` +
        `revision ${chain.last} is the last one before them`,
    );
  }
  return chosen(full, found, { at: new Date(atMs).toISOString() });
}

/** Also where no segment shows it: a later full backup that is further tells of changes, some of which may be of before. */
function missingBefore(catalogue: Catalogue, full: Backup, chain: Chain, atMs: number) {
  if (chain.kind === 'gap') return { from: chain.from, to: chain.to };
  const end = chain.segments.at(-1);
  if (end !== undefined && closedAtMs(end) > atMs) return undefined;
  const damaged = damagedSegments(catalogue, full.incarnation);
  const later = [
    ...catalogue.backups.filter(({ incarnation }) => incarnation === full.incarnation),
    // Its last revision was there when it was closed: some of it may be of before.
    ...(catalogue.deltas[full.incarnation] ?? [])
      .filter(({ key }) => damaged.has(key))
      .map(({ last }) => ({ revision: last })),
  ]
    .map(({ revision }) => revision)
    .filter((revision) => revision > chain.last);
  return later.length === 0 ? undefined : { from: chain.last + 1, to: Math.min(...later) };
}

function tooEarly(catalogue: Catalogue, wanted: string): string {
  const oldest = usableIn(catalogue).sort((a, b) => (a.contentAt < b.contentAt ? -1 : 1))[0];
  return oldest === undefined
    ? 'every full backup of this tenant is damaged or missing'
    : `${wanted} is before everything that is kept: the oldest backup is ${oldest.backupId} of ${oldest.contentAt} (revision ${oldest.revision})`;
}

/** Measured on small machines; a worker tells more when it is under way. */
const startSeconds = 25;
const bytesPerSecond = 30 * 2 ** 20;
const revisionsPerSecond = 1_000;

function chosen(full: Backup, { chain, except }: Behind, until: Choice['until']): Choice {
  const { segments, last: revision } = chain;
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, full.bytes);
  const newestMs = Math.max(Date.parse(full.contentAt), ...segments.slice(-1).map(closedAtMs));
  const coveredMs = until?.at === undefined ? newestMs : Math.min(newestMs, Date.parse(until.at));
  return {
    kind: 'chosen',
    full,
    segments,
    revision,
    bytes,
    estimatedSeconds: Math.ceil(
      startSeconds + bytes / bytesPerSecond + (revision - full.revision) / revisionsPerSecond,
    ),
    coveredUntil: new Date(coveredMs).toISOString(),
    ...(until && { until }),
    ...(except.length > 0 && { except }),
    ...(chain.kind === 'gap' && { gap: { from: chain.from, to: chain.to } }),
  };
}

const none = (problem: string): Chosen => ({ kind: 'none', problem });

/** The order for a worker, without what only a drill or a restore adds. @param version etcd's, of the scratch etcd */
export function orderOf(
  { full, until, except }: Pick<Choice, 'full' | 'until' | 'except'>,
  cell: string,
  version: string,
): OrderWork['order'] {
  const { key, sha256, bytes, revision, bumpRevision, tenantId, incarnation } = full;
  return {
    etcdVersion: version,
    source: { kind: 'full', key, sha256, bytes, revision, ...(bumpRevision && { bumpRevision }) },
    deltas: { prefix: deltaPrefix(cell, tenantId, incarnation), ...(except && { except: [...except] }) },
    ...(until && { until }),
  };
}
