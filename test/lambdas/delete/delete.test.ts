import { describe, expect, test } from 'vitest';
import { TransientError } from '../../../lambdas/core/errors.ts';
import { untilHealthy, World, type WorldOptions } from '../../fakes/sim/world.ts';

const gone = (world: World) => async () => (await world.store.get('acme')) === undefined;

async function remains(world: World): Promise<string[]> {
  const found = world.errors.map(String);
  if ((await world.store.get('acme')) !== undefined) found.push('the record');
  for (const task of world.ecs.alive('acme')) found.push(`task ${task.memberName} ${task.lastStatus}`);
  for (const id of world.names.services.keys()) found.push(`name ${id}`);
  const { items } = await world.store.listOperations('acme', { limit: 10 });
  for (const { kind, state } of items) {
    if (state === 'pending' || state === 'running') found.push(`${kind} operation ${state}`);
    if (kind === 'delete' && state !== 'succeeded') found.push(`delete ${state}`);
  }
  for (const id of Object.keys(await world.store.places('cell-1'))) found.push(`the place of ${id}`);
  if (world.messagesPending > 0) found.push(`${world.messagesPending} messages`);
  return found;
}

async function createdWorld(options: WorldOptions): Promise<World> {
  const world = new World(options);
  const at = world.clock.now().toISOString();
  await world.store.takePlace('cell-1', 'acme', { members: 3, at }, 1);
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  return world;
}

describe('delete', () => {
  test('takes names, tasks and record away, and keeps operations and timeline', async () => {
    const world = await createdWorld({});
    const operationId = await world.deleteTenant('acme');
    expect(await world.until(gone(world), 60)).toBe(true);
    await world.settle(200);
    expect(await remains(world)).toEqual([]);
    const operation = await world.store.getOperation('acme', operationId);
    expect(operation?.steps.map((step) => step.name)).toEqual([
      'deregister-names',
      'stop-tasks',
      'wait-for-stop',
      'delete-name',
    ]);
    const { items } = await world.store.listEvents('acme', { limit: 50 });
    expect(items[0]?.message).toBe('The tenant is deleted.');
  });

  test('waits for a name service that takes its time, and tells each step once', async () => {
    const world = await createdWorld({ ecs: { stopMs: 12_000 } });
    const deregister = world.names.deregister.bind(world.names);
    world.names.deregister = async (...args) => world.clock.at(7_000, () => void deregister(...args));
    const operationId = await world.deleteTenant('acme');
    expect(await world.until(gone(world), 120)).toBe(true);
    const steps = (await world.store.getOperation('acme', operationId))!.steps.map((step) => step.name);
    expect(steps).toEqual(['deregister-names', 'stop-tasks', 'wait-for-stop', 'delete-name']);
  });

  test('backs off while the name cannot be removed, and goes on by itself', async () => {
    const world = await createdWorld({});
    const remove = world.names.deleteService.bind(world.names);
    let calls = 0;
    world.names.deleteService = async (serviceId) => {
      if (++calls <= 4) throw new TransientError('still in use');
      return remove(serviceId);
    };
    await world.deleteTenant('acme');
    await world.settle(3);
    expect(calls).toBeLessThan(4);
    expect(await world.until(gone(world), 120)).toBe(true);
    await world.settle(150);
    expect(await remains(world)).toEqual([]);
  });

  test('stops tasks that no record owns', async () => {
    const world = await createdWorld({});
    const stray = await world.ecs.launch({
      cell: undefined as never,
      tenantId: 'acme',
      memberName: 'mstray000',
      zone: 'us-east-1a',
      size: 'small',
      storageGiB: 21,
      volume: 'ephemeral',
    });
    await world.deleteTenant('acme');
    expect(await world.until(gone(world), 60)).toBe(true);
    expect(world.ecs.tasks.get(stray.taskArn)?.lastStatus).toBe('STOPPED');
  });

  test('ends whatever call its function dies at', async () => {
    const probe = await createdWorld({ crash: { function: 'delete', point: { call: -1, when: 'before' } } });
    await probe.deleteTenant('acme');
    await probe.until(gone(probe));
    expect(probe.ports.calls.length).toBeGreaterThan(20);
    const failures: string[] = [];
    for (let call = 1; call <= probe.ports.calls.length; call++) {
      for (const when of ['before', 'after'] as const) {
        const world = await createdWorld({ crash: { function: 'delete', point: { call, when } } });
        await world.deleteTenant('acme');
        await world.until(gone(world));
        await world.settle(150);
        const left = await remains(world);
        const { port, method } = probe.ports.calls[call - 1]!;
        if (left.length > 0) failures.push(`${when} call ${call} (${port}.${method}): ${left.join('; ')}`);
      }
    }
    expect(failures).toEqual([]);
  }, 120_000);

  test('in the middle of a create, at any of its calls, leaves nothing behind', async () => {
    const probe = await createdWorld({ crash: { function: 'create', point: { call: -1, when: 'before' } } });
    const failures: string[] = [];
    for (let call = 1; call <= probe.ports.calls.length; call++) {
      const world = new World({ crash: { function: 'create', point: { call: -1, when: 'before' } } });
      world.ports.onCall = (number) => void (number === call && world.deleteTenant('acme'));
      await world.createTenant('acme');
      await world.until(gone(world));
      await world.settle(150);
      const left = await remains(world);
      const { port, method } = probe.ports.calls[call - 1]!;
      if (left.length > 0) failures.push(`at call ${call} (${port}.${method}): ${left.join('; ')}`);
    }
    expect(failures).toEqual([]);
  }, 120_000);

  test('after a create that died at any of its calls leaves no task and no record', async () => {
    const probe = await createdWorld({ crash: { function: 'create', point: { call: -1, when: 'before' } } });
    const failures: string[] = [];
    for (let call = 1; call <= probe.ports.calls.length; call++) {
      const world = new World({
        crash: { function: 'create', point: { call, when: 'after' } },
        ecs: { staleMs: 3_000 },
      });
      world.ports.onCall = (number) => void (number === call && world.deleteTenant('acme'));
      await world.createTenant('acme');
      await world.until(gone(world));
      await world.settle(150);
      const tasks = world.ecs.alive('acme').length;
      if (!(await gone(world)()) || tasks > 0) failures.push(`call ${call}: ${tasks} tasks`);
    }
    expect(failures).toEqual([]);
  }, 120_000);
});
