import { problemsOf, World, type WorldOptions } from '../../fakes/sim/world.ts';

type Spec = Parameters<World['createTenant']>[1];

/** A tenant that serves, and has done so for a while. */
export async function started(options: WorldOptions = {}, spec: Spec = {}): Promise<World> {
  const world = new World(options);
  await world.createTenant('acme', spec);
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0);
  await world.settle(30);
  return world;
}

export const healed = (world: World) => async () => (await problemsOf(world, 'acme')).length === 0;

/** The timeline, oldest first. */
export const told = async (world: World): Promise<string[]> =>
  (await world.store.listEvents('acme', { limit: 500 })).items.map((event) => event.message).reverse();

export const record = async (world: World) => (await world.store.get('acme'))!;
