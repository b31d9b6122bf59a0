import { beforeEach, describe, expect, test } from 'vitest';
import { loadOf } from '../../../lambdas/core/model/place.ts';
import { InMemoryTenantStore } from '../../fakes/in-memory-tenant-store.ts';
import { cell, createWorld, type World } from './world.ts';

const cells = ['c1', 'c2', 'c3'].map((id) => ({ ...cell, id }));
let world: World;
beforeEach(() => {
  world = createWorld({ cells, maxTenants: 1000, maxTenantsPerCell: 3 });
});

const create = (id: string, spec: Record<string, unknown> = {}, of = world) =>
  of.send('PUT', `/v1/tenants/${id}`, { spec });
const cellOf = async (id: string) => (await world.store.get(id))?.cell;
const loads = async () =>
  Promise.all(cells.map(async ({ id }) => loadOf(await world.store.places(id)).tenants));

describe('a new tenant', () => {
  test('goes into the emptiest cell', async () => {
    for (const id of ['aa', 'bb', 'cc', 'dd']) expect((await create(id)).status).toBe(202);
    expect(await Promise.all(['aa', 'bb', 'cc', 'dd'].map(cellOf))).toEqual(['c1', 'c2', 'c3', 'c1']);
  });

  test('counts by its members: one of five weighs more than one of one', async () => {
    await create('five', { members: 5 });
    await create('one', { members: 1 });
    await create('uno', { members: 1 });
    await create('eins', { members: 1 });
    expect(await loads()).toEqual([1, 2, 1]);
    await world.finishCreation('one');
    await world.send('PATCH', '/v1/tenants/one', { spec: { members: 5 } });
    expect(loadOf(await world.store.places('c2')).members).toBe(6);
  });

  test('is spread though many come at the same moment, and no cell gets more than it may have', async () => {
    const ids = Array.from({ length: 14 }, (_, n) => `burst-${n}`);
    const answers = await Promise.all(ids.map((id) => create(id)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(9);
    for (const { status, body } of answers.filter((answer) => answer.status !== 202)) {
      expect(status).toBe(409);
      expect(body.code).toBe('no-room');
      expect(body.detail).toMatch(
        /each may have 3 tenants, c1 has 3, c2 has 3, c3 has 3\. Delete a tenant, raise max/,
      );
    }
    expect(await loads()).toEqual([3, 3, 3]);
  });

  test('asked for twice at the same moment takes one place', async () => {
    await Promise.all(Array.from({ length: 6 }, () => create('acme')));
    expect((await loads()).reduce((sum, n) => sum + n)).toBe(1);
    expect(await world.store.places((await cellOf('acme'))!)).toHaveProperty('acme');
  });

  test('keeps the place that an earlier request, cut off after it, has taken', async () => {
    await world.store.takePlace('c3', 'acme', { members: 3, at: '2026-11-22T11:00:00.000Z' }, 3);
    await create('acme');
    expect(await cellOf('acme')).toBe('c3');
    expect(await loads()).toEqual([0, 0, 1]);
  });

  test('leaves no place behind when somebody else was first, elsewhere', async () => {
    class Slow extends InMemoryTenantStore {
      override async create(record: Parameters<InMemoryTenantStore['create']>[0]): Promise<void> {
        // Meanwhile another has placed and made it in c2.
        await super.takePlace('c2', record.tenantId, { members: 3, at: record.createdAt }, 3);
        await super.create({ ...record, cell: 'c2' });
        return super.create(record);
      }
    }
    world = createWorld({ cells, store: new Slow(), maxTenants: 10, maxTenantsPerCell: 3 });
    expect((await create('acme')).status).toBe(200);
    const { store } = world.deps;
    expect(await store.places('c1')).toEqual({});
    expect(Object.keys(await store.places('c2'))).toEqual(['acme']);
  });

  test('finds room again when one has gone', async () => {
    for (let n = 0; n < 9; n++) await create(`t-${n}`);
    expect((await create('late')).body.code).toBe('no-room');
    await world.store.leavePlace('c2', 't-1');
    expect((await create('late')).status).toBe(202);
    expect(await cellOf('late')).toBe('c2');
  });
});

test('the fleet says how full each cell is', async () => {
  await create('aa', { members: 5 });
  await create('bb');
  const { body } = await world.send('GET', '/v1/fleet');
  expect(body).toEqual({
    tenants: 2,
    maxTenants: 1000,
    cells: [
      { cell: 'c1', tenants: 1, members: 5, maxTenantsPerCell: 3 },
      { cell: 'c2', tenants: 1, members: 3, maxTenantsPerCell: 3 },
      { cell: 'c3', tenants: 0, members: 0, maxTenantsPerCell: 3 },
    ],
  });
});
