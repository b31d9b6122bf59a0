import { beforeEach, expect, test } from 'vitest';
import { dueShard } from '../../../lambdas/core/due-shard.ts';
import { sweepPlaces } from '../../../lambdas/sweep/places.ts';
import { tenantRecord } from '../../contracts/tenant-record.ts';
import { InMemoryTenantStore } from '../../fakes/in-memory-tenant-store.ts';
import { simCell } from '../../fakes/sim/world.ts';

const cell = { ...simCell, id: 'c1' };
const log = { info: () => {}, warn: () => {}, error: () => {} };
let store: InMemoryTenantStore;
let now: Date;
beforeEach(() => {
  store = new InMemoryTenantStore();
  now = new Date('2026-11-22T12:00:00Z');
});
const round = () => sweepPlaces({ cell, store, log, clock: { now: () => now, sleep: async () => {} } });
const long = '2026-11-22T11:00:00.000Z';

test('gives back the place of a request that was cut off before its record', async () => {
  await store.takePlace('c1', 'ghost', { members: 3, at: long }, 9);
  await round();
  expect(await store.places('c1')).toEqual({});
});

test('leaves a place alone while its request may still be under way', async () => {
  await store.takePlace('c1', 'coming', { members: 3, at: '2026-11-22T11:55:00.000Z' }, 9);
  await round();
  expect(Object.keys(await store.places('c1'))).toEqual(['coming']);
});

test('believes the record, not an index that is late', async () => {
  await store.takePlace('c1', 'acme', { members: 3, at: long }, 9);
  await store.create(tenantRecord('acme', { cell: 'c1' }));
  store.idsInCell = async () => [];
  await round();
  expect(Object.keys(await store.places('c1'))).toEqual(['acme']);
});

test('gives the place of a tenant back that lives in another cell', async () => {
  await store.create(tenantRecord('acme', { cell: 'c2' }));
  await store.takePlace('c1', 'acme', { members: 3, at: long }, 9);
  await round();
  expect(await store.places('c1')).toEqual({});
});

test('counts tenants that were there before places were', async () => {
  const { spec } = tenantRecord('acme');
  await store.create(tenantRecord('acme', { cell: 'c1', spec: { ...spec, members: 5 } }));
  await round();
  expect((await store.places('c1')).acme).toMatchObject({ members: 5 });
});

test('learns within sixteen rounds that a tenant was scaled, though nobody told', async () => {
  await store.create(tenantRecord('acme', { cell: 'c1' }));
  await store.takePlace('c1', 'acme', { members: 1, at: long }, 9);
  let rounds = 0;
  while ((await store.places('c1')).acme?.members !== 3 && rounds < 17) {
    await round();
    now = new Date(now.getTime() + 10 * 60_000);
    rounds++;
  }
  expect(rounds).toBeLessThanOrEqual(16);
  expect(dueShard('acme')).toBeLessThan(16);
});

test('takes its turn each tenth minute only', async () => {
  await store.takePlace('c1', 'ghost', { members: 3, at: long }, 9);
  now = new Date('2026-11-22T12:03:00Z');
  await round();
  expect(Object.keys(await store.places('c1'))).toEqual(['ghost']);
});
