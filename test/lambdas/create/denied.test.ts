import { expect, test } from 'vitest';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';
import { problemsOf, untilHealthy, World } from '../../fakes/sim/world.ts';

const denied = (action: string) => () =>
  Promise.reject(
    new ControlPlaneError(
      'access-denied',
      `The role of this function may not call ${action}; add it to the role's policy. AWS says: not authorized to perform: ${action} on resource: arn:x`,
    ),
  );

const rights: [string, (world: World) => object, string][] = [
  ['ecs:DescribeTasks', (world) => world.ecs, 'describe'],
  ['kms:Decrypt', (world) => world.members, 'status'],
  ['sqs:SendMessage', (world) => world.dispatcher, 'look'],
];

test.each(rights)(
  'without %s the operation says so; with it, create goes on by itself',
  async (action, port, method) => {
    const world = new World({ ecs: { startMs: 10_000 } });
    await world.createTenant('acme');
    const target = port(world) as Record<string, unknown>;
    const whole = (target[method] as () => unknown).bind(target);
    target[method] = denied(action);
    await world.settle(40);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]).toMatchObject({ state: 'running' });
    expect(items[0]!.steps.filter(({ outcome }) => outcome === 'failed')).toMatchObject([
      { name: 'look', detail: expect.stringContaining(`may not call ${action}`) },
    ]);
    const events = await world.store.listEvents('acme', { limit: 100 });
    expect(
      events.items.filter(({ message }) => message.includes(`perform: ${action} on resource: arn:x`)),
    ).toHaveLength(1);
    expect(world.errors.length).toBeGreaterThan(0);

    target[method] = whole;
    world.errors.length = 0;
    await untilHealthy(world, 'acme');
    await world.settle(150);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  },
);

test('a look that could not be sent is not written down as being on its way', async () => {
  const world = new World({ ecs: { startMs: 10_000 } });
  await world.createTenant('acme');
  const target = world.dispatcher as { look: unknown };
  const whole = target.look;
  target.look = denied('sqs:SendMessage');
  await world.settle(5);
  expect((await world.store.get('acme'))!.recheck).toBeUndefined();
  target.look = whole;
});
