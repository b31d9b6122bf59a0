import type { DeltaRef } from '../model/backup.ts';
import { ulidMs } from '../ulid.ts';

/** Up to where a chain is wanted, both included; whichever comes first. Neither: to its end. */
export interface Until {
  readonly revision?: number | undefined;
  /**
   * Milliseconds since 1970. A name tells only when its segment was closed, so the chain may reach beyond this: the
   * records themselves tell when they were seen.
   */
  readonly atMs?: number | undefined;
}

export type Chain =
  | {
      readonly kind: 'whole';
      /** In order, none without which there would be no gap; neighbours may overlap. */
      readonly segments: readonly DeltaRef[];
      /** The last revision that they reach; the full's own when there are none. */
      readonly last: number;
    }
  | {
      readonly kind: 'gap';
      /** What can be used before the gap. */
      readonly segments: readonly DeltaRef[];
      readonly last: number;
      /** The revisions that no segment holds. */
      readonly from: number;
      readonly to: number;
    };

/**
 * The fewest segments that hold every revision after `revision` up to `until`, of what is there: any order, overlaps and
 * doubles included (two nannies may have shipped at once for a while, with the same content). Revisions without a change
 * do not exist in etcd, so what is not in a segment is missing.
 */
export function chainOf(revision: number, deltas: readonly DeltaRef[], until: Until = {}): Chain {
  const sorted = [...deltas].sort((a, b) => a.first - b.first || (a.id < b.id ? -1 : 1));
  const segments: DeltaRef[] = [];
  let last = revision;
  let next = 0;
  let furthest: DeltaRef | undefined;
  while (!reached(until, last, segments.at(-1))) {
    for (; next < sorted.length && sorted[next]!.first <= last + 1; next += 1) {
      furthest = better(furthest, sorted[next]!);
    }
    if (furthest === undefined || furthest.last <= last) {
      const behind = sorted[next];
      if (behind !== undefined) return { kind: 'gap', segments, last, from: last + 1, to: behind.first - 1 };
      if (until.revision === undefined) break;
      return { kind: 'gap', segments, last, from: last + 1, to: until.revision };
    }
    segments.push(furthest);
    last = furthest.last;
  }
  return { kind: 'whole', segments, last };
}

function reached(until: Until, last: number, newest: DeltaRef | undefined): boolean {
  if (until.revision !== undefined && last >= until.revision) return true;
  return until.atMs !== undefined && newest !== undefined && closedAtMs(newest) > until.atMs;
}

/** Of two that are as good, the one that was closed first: its records were seen closer to when they happened. */
function better(one: DeltaRef | undefined, other: DeltaRef): DeltaRef {
  if (one === undefined || other.last > one.last) return other;
  return other.last === one.last && other.id < one.id ? other : one;
}

/** When it was closed, by the clock of the nanny that shipped it. Milliseconds since 1970. */
export const closedAtMs = (delta: Pick<DeltaRef, 'id'>): number => ulidMs(delta.id);
