import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noteBeginning } from '../../../lambdas/core/backup/beginning.ts';
import { chooseBackup } from '../../../lambdas/core/backup/choose.ts';
import { keysOf, retain } from '../../../lambdas/core/backup/retention.ts';
import type { Backup } from '../../../lambdas/core/model/backup.ts';
import type { Catalogue } from '../../../lambdas/core/step.ts';
import { ulidMs } from '../../../lambdas/core/ulid.ts';
import { InMemoryTenantStore } from '../../fakes/in-memory-tenant-store.ts';
import { lostQuorum } from '../lost-quorum.ts';
import { histories } from './history.ts';

const bump = 1_000_000_000;
const hourMs = 3_600_000;
const begunAt = Date.parse('2026-03-01T12:00:00Z');

const full = (over: Partial<Backup>): Backup => {
  const { backupId = '01', incarnation = 1 } = over;
  const at = new Date(begunAt - hourMs).toISOString();
  return {
    backupId,
    tenantId: 'acme',
    incarnation,
    key: `c/acme/${incarnation}/full/${backupId}.snap`,
    sha256: 'f',
    bytes: 1,
    revision: 100,
    etcdVersion: '3.6.16',
    member: 'maaaaaaaa',
    reason: 'scheduled',
    startedAt: at,
    contentAt: at,
    endedAt: at,
    ...over,
  };
};

/** Incarnation 2 was made of revision 150 of incarnation 1, whose backups go on to 300. */
const beginning = full({
  backupId: '05',
  incarnation: 2,
  key: 'c/acme/1/prepared/04.snap',
  revision: 150 + bump,
  bumpRevision: bump,
  madeOf: { tenantId: 'acme', incarnation: 1, revision: 150 },
  reason: 'beginning',
  contentAt: new Date(begunAt).toISOString(),
});
const segment = (first: number, last: number, incarnation = 1) => ({
  key: `c/acme/${incarnation}/delta/${first}`,
  first,
  last,
  id: '01KEXZ0000000000000000000A',
  bytes: 1,
});

const catalogueOf = (backups: Backup[], more: Partial<Catalogue> = {}): Catalogue => ({
  backups,
  deltas: { 1: [segment(101, 300)] },
  objects: backups.map(({ key, bytes }) => ({ key, bytes })),
  ...more,
});
const damaged = { at: new Date(begunAt).toISOString(), problem: 'its hash differs' };
const newest = { kind: 'newest' } as const;

describe('a restored incarnation without a full backup of its own', () => {
  test('is what it began from: newest, and at any time since', () => {
    const catalogue = catalogueOf([beginning, full({})]);
    const later = { kind: 'time', at: new Date(begunAt + 1_000).toISOString() } as const;
    for (const target of [newest, later]) {
      expect(chooseBackup(target, catalogue)).toMatchObject({ full: beginning, revision: 150 + bump });
    }
    const before = { kind: 'revision', revision: 250 } as const;
    expect(chooseBackup(before, catalogue)).toMatchObject({
      full: { incarnation: 1 },
      until: { revision: 250 },
    });
  });

  test('with segments behind it: these on top', () => {
    const catalogue = catalogueOf([beginning, full({})], {
      deltas: { 2: [segment(151 + bump, 170 + bump, 2)] },
    });
    expect(chooseBackup(newest, catalogue)).toMatchObject({ full: beginning, revision: 170 + bump });
  });

  test('its own full backup goes before, whatever its revision', () => {
    for (const backupId of ['04', '06']) {
      const own = full({ backupId, incarnation: 2, revision: 150 + bump });
      expect(chooseBackup(newest, catalogueOf([own, beginning]))).toMatchObject({ full: own });
    }
  });

  test('when nothing of it can be used: the same restore once more, never what it had taken back', () => {
    const catalogue = catalogueOf([{ ...beginning, damaged }, full({})]);
    expect(chooseBackup(newest, catalogue)).toMatchObject({
      full: { incarnation: 1 },
      until: { revision: 150 },
    });
    const younger = full({ backupId: '03', revision: 200 });
    expect(chooseBackup(newest, catalogueOf([{ ...beginning, damaged }, younger]))).toMatchObject({
      kind: 'none',
      problem: expect.stringContaining('taken back'),
    });
  });

  test('of a clone: what is the other tenant’s is not looked for here', () => {
    const madeOf = { tenantId: 'other', incarnation: 1, revision: 150 };
    const lost = full({ ...beginning, incarnation: 1, madeOf, damaged });
    expect(chooseBackup(newest, catalogueOf([lost]))).toMatchObject({ kind: 'none' });
  });
});

describe('through many restores', () => {
  test('newest is a state that the present cluster comes from', () => {
    const cases = fc.record({ history: histories(60), share: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(cases, ({ history: { catalogue, truth }, share }) => {
        const lineage = new Map<number, { incarnation: number; revision: number }>();
        const backups = catalogue.backups.map((backup): Backup => {
          const { incarnation } = backup;
          const first = catalogue.backups.findLast((each) => each.incarnation === incarnation);
          if (incarnation === 1 || backup !== first) return backup;
          const from = Math.max(1, Math.ceil(share * (incarnation - 1)));
          const reached = truth.filter((each) => each.incarnation === from).map(({ revision }) => revision);
          const revision = Math.round(share * (reached.at(-1) ?? 0));
          lineage.set(incarnation, { incarnation: from, revision });
          const madeOf = { tenantId: 'acme', incarnation: from, revision };
          return { ...backup, reason: 'beginning', bumpRevision: 1, madeOf };
        });
        const choice = chooseBackup(newest, { ...catalogue, backups });
        if (choice.kind === 'none') return;
        let [incarnation, most] = [truth.at(-1)!.incarnation, Number.POSITIVE_INFINITY];
        while (incarnation !== choice.full.incarnation) {
          const made = lineage.get(incarnation);
          expect(made).toBeDefined();
          [incarnation, most] = [made!.incarnation, made!.revision];
        }
        expect(choice.until?.revision ?? choice.revision).toBeLessThanOrEqual(most);
      }),
    );
  });
});

describe('retention', () => {
  const much = new Date(begunAt + 60 * 24 * hourMs);

  test('keeps a beginning, damaged too, until one of the same incarnation is proven', () => {
    const own = full({ backupId: '06', incarnation: 2, revision: 160 + bump, contentAt: much.toISOString() });
    for (const one of [beginning, { ...beginning, damaged }]) {
      const later = new Date(much.getTime() + 48 * hourMs);
      expect(retain(catalogueOf([own, one]), 24, later).keep.backups).toContain(one);
      const proof = { at: own.contentAt, revision: 160 + bump, keys: 1, hash: 1, seconds: 1 };
      expect(retain(catalogueOf([{ ...own, proof }, one]), 24, later).drop.backups).toContain(one);
    }
  });

  test('an object that two manifests name goes with the second', () => {
    const asleep = full({ key: beginning.key });
    expect(keysOf([asleep], [asleep, beginning])).toEqual([]);
    expect(keysOf([asleep, beginning], [asleep, beginning])).toEqual([beginning.key]);
  });
});

test('written twice, before and after a crash, it is one', async () => {
  const store = new InMemoryTenantStore({ now: () => new Date(begunAt) });
  const restore = {
    kind: 'backup',
    key: beginning.key,
    sha256: 'f',
    bytes: 1,
    revision: 150,
    bumpRevision: bump,
  } as const;
  const tenant = lostQuorum(
    {},
    {
      incarnation: {
        state: 'booting',
        number: 2,
        token: 'c0ffee'.repeat(5),
        initialCluster: { maaaaaaaa: 'https://10.0.0.1:2380' },
        bootedAt: beginning.contentAt,
        restore,
      },
    },
  );
  for (const seconds of [0, 30]) await noteBeginning({ store }, tenant, new Date(begunAt + seconds * 1_000));
  const [noted, ...more] = await store.listBackups('acme');
  expect(more).toEqual([]);
  expect(noted).toMatchObject({ incarnation: 2, revision: 150 + bump, madeOf: beginning.madeOf });
  expect(ulidMs(noted!.backupId)).toBe(begunAt);
});
