import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainOf, closedAtMs } from '../../../lambdas/core/backup/chain.ts';
import { type DeltaRef, deltaName, readDeltaName } from '../../../lambdas/core/model/backup.ts';

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const idAt = (ms: number, tail = '0000000000000000') => {
  let time = '';
  for (let rest = ms; time.length < 10; rest = Math.floor(rest / 32)) time = crockford[rest % 32] + time;
  return time + tail;
};
const segment = (first: number, last: number, ms = 1_000 + last): DeltaRef => {
  const id = idAt(ms);
  return readDeltaName(`c1/acme/1/delta/${deltaName(first, last, id)}`, 100)!;
};
const spans = (segments: readonly DeltaRef[]) => segments.map(({ first, last }) => [first, last]);

describe('the chain behind a full backup', () => {
  test('takes what follows it, and leaves out what the full holds already', () => {
    const chain = chainOf(10, [segment(12, 15), segment(3, 9), segment(9, 11), segment(16, 16)]);
    expect(chain).toMatchObject({ kind: 'whole', last: 16 });
    expect(spans(chain.segments)).toEqual([
      [9, 11],
      [12, 15],
      [16, 16],
    ]);
  });

  test('is empty and whole when nothing was shipped', () => {
    expect(chainOf(10, [])).toEqual({ kind: 'whole', segments: [], last: 10 });
  });

  test('names the revisions that are missing, and what can be used before them', () => {
    const chain = chainOf(10, [segment(11, 12), segment(15, 20)]);
    expect(chain).toMatchObject({ kind: 'gap', last: 12, from: 13, to: 14 });
    expect(spans(chain.segments)).toEqual([[11, 12]]);
  });

  test('a gap behind what is wanted does not matter', () => {
    const deltas = [segment(11, 12, 5_000), segment(15, 20, 9_000)];
    expect(chainOf(10, deltas, { revision: 12 })).toMatchObject({ kind: 'whole', last: 12 });
    expect(chainOf(10, deltas, { atMs: 4_999 })).toMatchObject({ kind: 'whole', last: 12 });
    expect(chainOf(10, deltas, { atMs: 5_000 })).toMatchObject({ kind: 'gap', from: 13, to: 14 });
  });

  test('a revision that was never shipped is a gap; a time after the last change is not', () => {
    expect(chainOf(10, [segment(11, 12)], { revision: 14 })).toMatchObject({
      kind: 'gap',
      from: 13,
      to: 14,
    });
    expect(chainOf(10, [segment(11, 12)], { atMs: 99_999 })).toMatchObject({ kind: 'whole', last: 12 });
  });

  test('of two that reach as far, the one whose records were seen first', () => {
    const chain = chainOf(10, [segment(11, 20, 9_000), segment(8, 20, 3_000)]);
    expect(chain.segments.map(closedAtMs)).toEqual([3_000]);
  });

  test('holds everything, no segment too many, whatever is there, or says what is missing', () => {
    const delta = fc
      .tuple(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 8 }),
        fc.integer({ min: 0, max: 999 }),
      )
      .map(([first, more, ms]) => segment(first, first + more, ms));
    const wanted = fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), fc.array(delta), wanted, (full, deltas, revision) => {
        const chain = chainOf(full, deltas, { revision });
        const covered = (list: readonly DeltaRef[], at: number) =>
          list.some(({ first, last }) => first <= at && at <= last);
        let reach = full;
        for (const { first, last } of chain.segments) {
          expect(first).toBeLessThanOrEqual(reach + 1);
          expect(last).toBeGreaterThan(reach);
          reach = last;
        }
        expect(chain.last).toBe(reach);
        // None can be left out.
        for (const [n] of chain.segments.entries()) {
          const others = chain.segments.filter((_, other) => other !== n);
          const end = Math.min(reach, revision ?? reach);
          const needed = Array.from({ length: end - full }, (_, offset) => full + 1 + offset);
          expect(needed.every((at) => covered(others, at))).toBe(false);
        }
        if (chain.kind === 'gap') {
          const to = chain.to;
          expect(chain.from).toBe(reach + 1);
          for (let at = chain.from; at <= to; at += 1) expect(covered(deltas, at)).toBe(false);
          expect(revision === undefined || revision > reach).toBe(true);
        } else if (revision === undefined) {
          expect(deltas.every(({ last }) => last <= reach)).toBe(true);
        } else {
          expect(reach).toBeGreaterThanOrEqual(revision);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
