import { type Chosen, chooseBackup } from '../backup/choose.ts';
import { type DeltaRef, deltaPrefix } from '../model/backup.ts';
import type { Pin, RestoreTarget } from '../model/restore.ts';
import type { Catalogue } from '../step.ts';

export type Pinned =
  | {
      readonly kind: 'pinned';
      readonly pin: Pin;
      readonly estimatedSeconds: number;
      /** The highest revision of all that is backed up: younger than what the record knows. */
      readonly furthest: number;
    }
  /** For people: why not. */
  | { readonly kind: 'impossible'; readonly problem: string };

/** What a restore to this target begins with, made fast. */
export function pinSource(target: RestoreTarget, catalogue: Catalogue, cell: string): Pinned {
  const chosen: Chosen = chooseBackup(target, catalogue);
  if (chosen.kind === 'none') return { kind: 'impossible', problem: chosen.problem };
  const { full, segments, until, except, estimatedSeconds, coveredUntil: contentAt } = chosen;
  // Of the segment that a time falls into only a part is replayed: the one before it is what surely comes.
  const sure = until?.at === undefined ? segments : segments.slice(0, -1);
  const { backupId, incarnation, key, sha256, bytes, revision, bumpRevision, etcdVersion } = full;
  const { tenantId: from } = full;
  return {
    kind: 'pinned',
    estimatedSeconds,
    furthest: highest([
      ...catalogue.backups.map((backup) => backup.revision),
      ...Object.values(catalogue.deltas).flatMap(lasts),
    ]),
    pin: {
      from,
      backupId,
      incarnation,
      key,
      sha256,
      bytes,
      revision,
      ...(bumpRevision && { bumpRevision }),
      etcdVersion,
      // Also without a segment now: for the newest state there may be some by the time the worker looks.
      deltas: deltaPrefix(cell, from, incarnation),
      ...(except && { except: [...except] }),
      segments: segments.length,
      segmentBytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
      ...(until && { until }),
      expectedRevision: until?.revision ?? highest([revision, ...lasts(sure)]),
      contentAt,
    },
  };
}

const lasts = (deltas: readonly DeltaRef[]): number[] => deltas.map(({ last }) => last);
/** Of more than a call takes arguments. */
const highest = (revisions: readonly number[]): number => revisions.reduce((a, b) => Math.max(a, b), 0);
