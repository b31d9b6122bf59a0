import { expect, test } from 'vitest';
import { problemsOf, World, type WorldOptions } from '../../fakes/sim/world.ts';

async function started(
  options: WorldOptions = {},
  spec: Parameters<World['createTenant']>[1] = {},
): Promise<World> {
  const world = new World(options);
  await world.createTenant('acme', spec);
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0);
  await world.settle(30);
  return world;
}

const healed = (world: World) => async () => (await problemsOf(world, 'acme')).length === 0;
const told = async (world: World) =>
  (await world.store.listEvents('acme', { limit: 200 })).items.map((event) => event.message).reverse();

test('a task that stopped is replaced in the same zone within seconds', async () => {
  const world = await started();
  const lost = world.ecs.alive('acme')[0]!;
  world.ecs.end(lost, 'Host is gone');
  const from = world.clock.now().getTime();
  await world.settle(1);
  await world.until(healed(world), 120);
  console.log(
    (world.clock.now().getTime() - from) / 1000,
    await problemsOf(world, 'acme'),
    await told(world),
  );
  expect(await problemsOf(world, 'acme')).toEqual([]);
  const tenant = (await world.store.get('acme'))!;
  expect(Object.keys(tenant.members)).not.toContain(lost.memberName);
  expect(Object.values(tenant.members).map((member) => member.zone)).toContain(lost.zone);
});
