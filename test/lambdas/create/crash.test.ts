import { describe, expect, test } from 'vitest';
import type { CrashPoint } from '../../fakes/sim/crash.ts';
import { problemsOf, untilHealthy, World, type WorldOptions } from '../../fakes/sim/world.ts';

type Watched = NonNullable<WorldOptions['crash']>['function'];

async function createWith(options: WorldOptions, settleSeconds = 150): Promise<World> {
  const world = new World(options);
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  // Late messages and further sweeps must not disturb what has been reached.
  await world.settle(settleSeconds);
  return world;
}

async function crashPoints(watched: Watched): Promise<{ name: string; point: CrashPoint }[]> {
  const world = await createWith({ crash: { function: watched, point: { call: -1, when: 'before' } } });
  expect(await problemsOf(world, 'acme')).toEqual([]);
  return world.ports.calls.flatMap(({ invocation, port, method }, index) =>
    (['before', 'after'] as const).map((when) => ({
      name: `${when} call ${index + 1}: ${port}.${method} of invocation ${invocation}`,
      point: { call: index + 1, when },
    })),
  );
}

describe.each(['create', 'join', 'sweep'] as const)('a crash of the %s function', (watched) => {
  test('at any of its calls leaves the same healthy cluster, and no task or member over', async () => {
    const points = await crashPoints(watched);
    expect(points.length).toBeGreaterThan(20);
    const failures: string[] = [];
    for (const { name, point } of points) {
      const world = await createWith({ crash: { function: watched, point } }, 300);
      const problems = await problemsOf(world, 'acme');
      if (!world.ports.crashed) problems.push('it did not crash');
      const tasks = world.ecs.tasks.size;
      if (tasks !== 3) problems.push(`${tasks} tasks were launched in all`);
      if (world.messagesPending > 0) problems.push(`${world.messagesPending} messages still go round`);
      if (problems.length > 0) failures.push(`${name}: ${problems.join('; ')}`);
    }
    expect(failures).toEqual([]);
  }, 120_000);
});
