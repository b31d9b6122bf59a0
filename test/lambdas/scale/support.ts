import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { problemsOf, World, type WorldOptions } from '../../fakes/sim/world.ts';

/** A world with the healthy tenant `acme` in it. */
export async function created(
  options: WorldOptions = {},
  spec: Partial<TenantRecord['spec']> = {},
): Promise<World> {
  const world = new World(options);
  await world.createTenant('acme', spec);
  // With lost messages it takes some sweeps until anybody takes it up; a change of an unmade tenant would be no test.
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0, 1_200);
  const problems = await problemsOf(world, 'acme');
  if (problems.length > 0) throw new Error(`acme was not made: ${problems.join(', ')}`);
  return world;
}

/** Runs until all is well, then on for a while: what has been reached must stay. */
export async function settled(world: World, seconds = 600, after = 130): Promise<string[]> {
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0, seconds);
  await world.settle(after);
  return problemsOf(world, 'acme');
}

/** Names of the done steps of the newest operation of this kind. */
export async function stepsOf(world: World, kind: string): Promise<string[]> {
  const { items } = await world.store.listOperations('acme', { limit: 20 });
  const operation = items.find((each) => each.kind === kind);
  return operation?.steps.filter((step) => step.outcome === 'done').map((step) => step.name) ?? [];
}
