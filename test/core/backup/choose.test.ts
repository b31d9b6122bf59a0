import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Choice, chooseBackup } from '../../../lambdas/core/backup/choose.ts';
import { type History, histories, startMs } from './history.ts';

/** Every revision from the full's on is in its segments, one after the other. */
function expectNoGap({ full, segments, revision }: Choice): void {
  let last = full.revision;
  for (const segment of segments) {
    expect(segment.first).toBeLessThanOrEqual(last + 1);
    last = Math.max(last, segment.last);
  }
  expect(last).toBe(revision);
  expect(full.damaged).toBeUndefined();
}

describe('what is known to be damaged or gone', () => {
  test('is never used: segments are gone round, told to the worker, or the restore ends before the first', () => {
    const cases = histories(30).chain((history) =>
      fc.record({
        history: fc.constant(history),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        seed: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(cases, ({ history: { catalogue, endMs }, share, seed }) => {
        const all = Object.values(catalogue.deltas).flat();
        const bad = all.filter((_, n) => (seed >> (n % 24)) % 3 === 0);
        const lost = catalogue.backups.filter((_, n) => (seed >> (n % 20)) % 5 === 0).map(({ key }) => key);
        const marked = catalogue.backups.map((backup) => ({
          ...backup,
          damagedSegments: bad
            .filter(({ key }) => key.includes(`/${backup.incarnation}/delta/`))
            .map(({ key }) => ({ key, at: backup.endedAt, problem: 'flipped' })),
        }));
        const objects = catalogue.objects.filter(({ key }) => !lost.includes(key));
        const at = new Date(startMs + share * (endMs - startMs)).toISOString();
        const revision = Math.ceil(share * Math.max(1, ...all.map(({ last }) => last)));
        const without = { ...catalogue, deltas: {} as Record<number, typeof all> };
        for (const [incarnation, found] of Object.entries(catalogue.deltas)) {
          without.deltas[Number(incarnation)] = found.filter((delta) => !bad.includes(delta));
        }
        for (const target of [
          { kind: 'newest' },
          { kind: 'time', at },
          { kind: 'revision', revision },
        ] as const) {
          const choice = chooseBackup(target, { ...catalogue, backups: marked, objects });
          if (choice.kind === 'none') continue;
          expectNoGap(choice);
          expect(lost).not.toContain(choice.full.key);
          expect(choice.segments.filter((segment) => bad.includes(segment))).toEqual([]);
          const behind = bad.filter(
            ({ key, last }) =>
              last > choice.full.revision && key.includes(`/${choice.full.incarnation}/delta/`),
          );
          expect(choice.except ?? []).toEqual(behind.map(({ key }) => key));
          // No less than what would come of it if they were not there at all.
          const other = chooseBackup(target, { ...without, backups: catalogue.backups, objects });
          expect(other).toMatchObject({ kind: 'chosen', revision: choice.revision });
        }
      }),
    );
  });
});

describe('what a restore begins with', () => {
  test('newest: the newest full backup that is not damaged, and as far as its segments go', () => {
    fc.assert(
      fc.property(histories(30), ({ catalogue }) => {
        const choice = chooseBackup({ kind: 'newest' }, catalogue);
        const usable = catalogue.backups.filter((backup) => backup.damaged === undefined);
        if (choice.kind === 'none') {
          expect(usable).toEqual([]);
          return;
        }
        expectNoGap(choice);
        const newest = Math.max(...usable.map(({ incarnation }) => incarnation));
        expect(choice.full.incarnation).toBe(newest);
        const furthest = Math.max(
          ...usable.filter((each) => each.incarnation === newest).map((each) => each.revision),
        );
        expect(choice.full.revision).toBe(furthest);
        if (choice.gap) expect(choice.gap.from).toBe(choice.revision + 1);
      }),
    );
  });

  test('a revision: exactly that one, or why not', () => {
    const cases = histories(30).chain((history) =>
      fc.record({ history: fc.constant(history), at: fc.nat(history.truth.length - 1) }),
    );
    fc.assert(
      fc.property(cases, ({ history: { catalogue, truth }, at }) => {
        const { incarnation, revision } = truth[at]!;
        const choice = chooseBackup({ kind: 'revision', revision }, catalogue);
        if (choice.kind === 'none') {
          expect(choice.problem).toMatch(new RegExp(`revision ${revision}|is damaged or missing`));
          return;
        }
        expectNoGap(choice);
        expect(choice.full.incarnation).toBe(incarnation);
        expect(choice.full.revision).toBeLessThanOrEqual(revision);
        expect(choice.revision).toBeGreaterThanOrEqual(revision);
        expect(choice.until).toEqual({ revision });
      }),
    );
  });

  test('a time: of the incarnation of then, from a full backup with nothing younger, without a gap before it', () => {
    const cases = histories(30).chain((history) =>
      fc.record({ history: fc.constant(history), index: fc.nat(history.truth.length - 1) }),
    );
    fc.assert(
      fc.property(cases, ({ history: { catalogue, truth }, index }) => {
        // Between two segments: everything before was closed, nothing after has begun.
        const { endMs, incarnation, revision } = truth[index]!;
        const choice = chooseBackup({ kind: 'time', at: new Date(endMs - 1).toISOString() }, catalogue);
        if (choice.kind === 'none') return;
        expectNoGap(choice);
        expect(choice.full.incarnation).toBe(incarnation);
        expect(Date.parse(choice.full.contentAt)).toBeLessThan(endMs);
        const before = index === 0 ? 0 : truth[index - 1]!.revision;
        // Everything of the minutes before is there; no segment of later minutes is taken but the one that ends it.
        // Of what was lost with everything behind it nothing tells.
        const told = Math.max(
          ...catalogue.backups
            .filter((each) => each.incarnation === incarnation)
            .map((each) => each.revision),
          ...(catalogue.deltas[incarnation] ?? []).map(({ last }) => last),
        );
        if (truth[index - 1]?.incarnation === incarnation && told >= before)
          expect(choice.revision).toBeGreaterThanOrEqual(before);
        if (choice.segments.length > 0) expect(choice.full.revision).toBeLessThanOrEqual(revision);
        expect(Date.parse(choice.coveredUntil)).toBeLessThan(endMs);
      }),
    );
  });

  const at = (minutes: number): string => new Date(startMs + minutes * 60_000).toISOString();
  const one = (of: History): History => of;

  test('nothing is said to be restorable that is not', () => {
    expect(chooseBackup({ kind: 'newest' }, { backups: [], deltas: {}, objects: [] })).toEqual({
      kind: 'none',
      problem: 'there is no backup of this tenant',
    });
    fc.assert(
      fc.property(histories(5).map(one), ({ catalogue }) => {
        const choice = chooseBackup({ kind: 'time', at: at(-1) }, catalogue);
        expect(choice).toMatchObject({ kind: 'none' });
      }),
      { numRuns: 20 },
    );
  });
});
