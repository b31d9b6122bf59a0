import { describe, expect, test } from 'vitest';
import { problemsOf, World } from '../../fakes/sim/world.ts';

const created = (world: World, tenantId: string) => async () =>
  (await problemsOf(world, tenantId)).length === 0;

describe('create', () => {
  test.each([1, 3, 5] as const)('brings a cluster of %i members up by itself', async (members) => {
    const world = new World();
    await world.createTenant('acme', { members });
    await world.until(created(world, 'acme'), 60);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });
});
