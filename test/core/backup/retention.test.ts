import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseBackup } from '../../../lambdas/core/backup/choose.ts';
import { retain } from '../../../lambdas/core/backup/retention.ts';
import { histories } from './history.ts';

const hourMs = 3_600_000;

describe('retention', () => {
  // Forty half hours to a few hundred: windows of one to 20 hours cut them in their middle.
  const cases = fc.record({
    history: histories(200, 30),
    pointInTimeHours: fc.integer({ min: 1, max: 20 }),
    laterMs: fc.nat(40 * 24 * hourMs),
  });

  test('never lets go of the newest backup nor of the newest proven one', () => {
    fc.assert(
      fc.property(cases, ({ history: { catalogue, endMs }, pointInTimeHours, laterMs }) => {
        const { keep } = retain(catalogue, pointInTimeHours, new Date(endMs + laterMs));
        const usable = catalogue.backups.filter((backup) => backup.damaged === undefined);
        const ids = keep.backups.map(({ backupId }) => backupId);
        if (usable[0]) expect(ids).toContain(usable[0].backupId);
        const proven = usable.find(({ proof }) => proof !== undefined);
        if (proven) expect(ids).toContain(proven.backupId);
      }),
    );
  });

  test('every second of the window is restorable after it, if it was before, and so is the newest', () => {
    fc.assert(
      fc.property(
        cases,
        fc.double({ min: 0, max: 1, noNaN: true }),
        ({ history: { catalogue, endMs }, pointInTimeHours }, share) => {
          const { keep } = retain(catalogue, pointInTimeHours, new Date(endMs));
          const deltas = Object.groupBy(keep.deltas, ({ key }) => Number(key.split('/')[2]));
          const after = {
            backups: keep.backups,
            objects: catalogue.objects,
            deltas: deltas as Record<number, (typeof keep.deltas)[number][]>,
          };
          const at = new Date(endMs - share * pointInTimeHours * hourMs).toISOString();
          for (const target of [{ kind: 'time', at }, { kind: 'newest' }] as const) {
            const before = chooseBackup(target, catalogue);
            if (before.kind !== 'chosen') continue;
            expect(chooseBackup(target, after)).toEqual(before);
          }
        },
      ),
    );
  });

  test('what nobody needs goes: after five weeks only the newest and the newest proven are left', () => {
    fc.assert(
      fc.property(cases, ({ history: { catalogue, endMs }, pointInTimeHours }) => {
        const { keep, drop } = retain(catalogue, pointInTimeHours, new Date(endMs + 36 * 24 * hourMs));
        expect(keep.backups.filter(({ damaged }) => damaged === undefined).length).toBeLessThanOrEqual(2);
        expect(keep.backups.length + drop.backups.length).toBe(catalogue.backups.length);
      }),
    );
  });

  test('one an hour for a day, one a day for a week, one a week for five', () => {
    const backups = Array.from({ length: 40 * 48 }, (_, n) => {
      const contentAt = new Date(Date.parse('2026-03-01T12:00:00Z') - n * (hourMs / 2)).toISOString();
      return { ...template, backupId: String(9_999 - n), revision: 9_999 - n, contentAt };
    });
    const { keep } = retain({ backups, deltas: {}, objects: [] }, 2, new Date('2026-03-01T12:00:00Z'));
    const ages = keep.backups.map(
      ({ contentAt }) => (Date.parse('2026-03-01T12:00:00Z') - Date.parse(contentAt)) / hourMs,
    );
    expect(ages.filter((age) => age > 2 && age <= 24)).toHaveLength(22);
    expect(ages.filter((age) => age > 24 && age <= 7 * 24).length).toBeLessThanOrEqual(8);
    expect(ages.filter((age) => age > 7 * 24).length).toBeLessThanOrEqual(6);
    expect(Math.max(...ages)).toBeGreaterThan(4 * 7 * 24);
  });
});

const template = {
  tenantId: 'acme',
  incarnation: 1,
  key: 'k',
  sha256: 'f',
  bytes: 1,
  etcdVersion: '3.6.16',
  member: 'maaaaaaaa',
  reason: 'scheduled' as const,
  startedAt: '2026-01-01T00:00:00Z',
  endedAt: '2026-01-01T00:00:00Z',
};
