import { describe, expect, test } from 'vitest';
import { noCapacity } from '../../fakes/sim/sim-ecs.ts';
import { problemsOf, untilHealthy, World, type WorldOptions } from '../../fakes/sim/world.ts';

const healthy = (world: World, tenantId: string) => async () =>
  (await problemsOf(world, tenantId)).length === 0;

async function created(world: World, seconds = 600): Promise<string[]> {
  await untilHealthy(world, 'acme', seconds);
  await world.settle(150);
  return problemsOf(world, 'acme');
}

const messagesOf = async (world: World): Promise<string[]> =>
  (await world.store.listEvents('acme', { limit: 200 })).items.map((event) => event.message);

describe('create', () => {
  test.each([1, 3, 5] as const)('brings a cluster of %i members up by itself', async (members) => {
    const world = new World();
    await world.createTenant('acme', { members });
    expect(await created(world, 10)).toEqual([]);
    const tenant = (await world.store.get('acme'))!;
    const zones = Object.values(tenant.members).map((member) => member.zone);
    expect(new Set(zones).size).toBe(Math.min(members, 3));
    expect(tenant.observedGeneration).toBe(tenant.generation);
    expect(tenant.status.conditions.map(({ type, status }) => `${type} ${status}`)).toContain('Ready True');
  });

  test('tells the operation step by step, and each thing once', async () => {
    const world = new World();
    await world.createTenant('acme');
    await created(world);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]?.steps.map((step) => `${step.name} ${step.outcome}`)).toEqual([
      'request-members done',
      'launch-members done',
      'issue-pki done',
      'create-name done',
      'wait-for-members done',
      'wait-for-quorum done',
      'latch-cluster done',
      'publish done',
    ]);
    expect(items[0]?.steps.every((step) => step.endedAt !== undefined)).toBe(true);
    const messages = await messagesOf(world);
    expect(new Set(messages).size).toBe(messages.length);
  });

  const disturbances: [string, WorldOptions['messages']][] = [
    ['doubled', { copies: 2 }],
    ['doubled and up to 9 s late', { copies: 2, delayMs: (n) => (n * 3_137) % 9_000 }],
    ['tripled and out of order', { copies: 3, delayMs: (n) => 5_000 - ((n * 1_913) % 5_000) }],
    ['all lost', { lost: () => true }],
    ['lost one in two', { lost: (n) => n % 2 === 0 }],
  ];
  test.each(disturbances)('comes to the same with messages %s', async (_name, messages) => {
    const world = new World({ ...(messages && { messages: { ...messages } }) });
    await world.createTenant('acme');
    if (messages?.lost?.(1)) {
      // Not even the sweep's own looks arrive: it is the function itself that has to be called now and then.
      for (let round = 0; round < 20; round++) {
        void world.look('acme', 'create');
        await world.settle(10);
      }
    }
    expect(await created(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(3);
    await world.settle(300);
    expect(world.messagesPending).toBe(0);
  });

  test('lets two functions that look at the same tenant at once launch its members once', async () => {
    const world = new World();
    await world.createTenant('acme');
    const results = Promise.all([1, 2, 3].map(() => world.look('acme', 'create')));
    expect(await created(world)).toEqual([]);
    expect((await results).filter((result) => result === 'busy')).toHaveLength(2);
    expect(world.ecs.tasks.size).toBe(3);
  });

  test('holds on to its lease through a launch that takes half a minute', async () => {
    const world = new World({ messages: { copies: 2 } });
    const launch = world.ecs.launch.bind(world.ecs);
    let slow = 0;
    world.ecs.launch = async (request) => {
      slow++;
      await world.clock.sleep(30_000);
      return launch(request);
    };
    await world.createTenant('acme');
    expect(await created(world)).toEqual([]);
    expect(slow).toBe(3);
  });

  test('keeps twenty tenants that come at once apart', async () => {
    const world = new World();
    const ids = Array.from({ length: 20 }, (_, index) => `tenant-${index}`);
    await Promise.all(
      ids.map((id, index) => world.createTenant(id, { members: ([1, 3, 5] as const)[index % 3]! })),
    );
    await world.until(
      async () => (await Promise.all(ids.map((id) => healthy(world, id)()))).every(Boolean),
      60,
    );
    for (const id of ids) expect(await problemsOf(world, id)).toEqual([]);
    const clusters = await Promise.all(ids.map(async (id) => (await world.store.get(id))!.incarnation));
    expect(
      new Set(clusters.map((incarnation) => 'clusterId' in incarnation && incarnation.clusterId)).size,
    ).toBe(20);
  });

  test('starts again with new members and a new token when a task stops before the cluster has formed', async () => {
    const world = new World({ ecs: { startMs: 400, stopMs: 3_000 } });
    await world.createTenant('acme');
    const token = (await world.store.get('acme'))!.incarnation.token;
    await world.until(() => world.ecs.alive('acme').some((task) => task.lastStatus === 'RUNNING'));
    const lost = world.ecs.alive('acme')[0]!;
    world.ecs.end(lost, 'Host is gone');
    expect(await created(world)).toEqual([]);
    const tenant = (await world.store.get('acme'))!;
    expect(tenant.incarnation.number).toBe(2);
    expect(tenant.incarnation.token).not.toBe(token);
    expect(Object.keys(tenant.members)).not.toContain(lost.memberName);
    expect(world.ecs.tasks.size).toBe(6);
    expect((await messagesOf(world)).join('\n')).toContain(
      `the task of ${lost.memberName} stopped: Host is gone`,
    );
  });

  test('starts again when a member dies between the boot answer and the quorum', async () => {
    const world = new World();
    let killed = false;
    world.members.onBoot = (task) => {
      if (!killed) world.ecs.end(task, 'OutOfMemoryError');
      killed = true;
    };
    await world.createTenant('acme');
    expect(await created(world)).toEqual([]);
    expect((await world.store.get('acme'))!.incarnation.number).toBe(2);
  });

  test('starts again when a member has lost its data before the latch', async () => {
    const world = new World();
    await world.createTenant('acme');
    await world.until(() =>
      [...world.members.members.values()].some((member) => member.state === 'starting'),
    );
    const [name] = [...world.members.members.entries()].find(([, member]) => member.state === 'starting')!;
    world.members.setState(name, 'data-lost');
    expect(await created(world)).toEqual([]);
    expect((await world.store.get('acme'))!.incarnation.number).toBe(2);
  });

  test('backs off and says why while ECS has no capacity, then goes on with the same members', async () => {
    const world = new World();
    world.ecs.launchFaults.push(...Array.from({ length: 9 }, noCapacity));
    await world.createTenant('acme');
    await world.settle(5);
    const waiting = (await world.store.get('acme'))!;
    expect(waiting.backoff?.reason).toContain('Capacity is unavailable');
    const names = Object.keys(waiting.members);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]?.message).toContain('Capacity is unavailable');
    expect(await created(world)).toEqual([]);
    expect(Object.keys((await world.store.get('acme'))!.members)).toEqual(names);
    expect(world.ecs.tasks.size).toBe(3);
    const told = (await messagesOf(world)).filter((message) => message.includes('Capacity is unavailable'));
    expect(told).toHaveLength(1);
  });

  test('waits for slow tasks without launching anything twice', async () => {
    const world = new World({ ecs: { startMs: 90_000, staleMs: 15_000 } });
    await world.createTenant('acme');
    expect(await created(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(3);
  });

  test('gives up on a task that never joins, and tries others', async () => {
    const world = new World();
    let first = true;
    const start = world.ecs.onRunning;
    world.ecs.onRunning = (task) => {
      if (!first) start(task);
      first = false;
    };
    await world.createTenant('acme');
    expect(await created(world, 1_500)).toEqual([]);
    expect((await world.store.get('acme'))!.incarnation.number).toBe(2);
  });

  test('never latches while two cluster ids are seen (S9)', async () => {
    const world = new World();
    const status = world.members.status.bind(world.members);
    let lie = true;
    world.members.status = async (target) => {
      const seen = await status(target);
      const mine = Object.values((await world.store.get('acme'))!.members).map((member) => member.name);
      if (!lie || seen.memberName !== mine[0] || seen.self === undefined) return seen;
      return { ...seen, self: { ...seen.self, clusterId: 'bad' } };
    };
    await world.createTenant('acme');
    await world.settle(100);
    const tenant = (await world.store.get('acme'))!;
    expect(tenant.incarnation.state).toBe('booting');
    const { items } = await world.store.listEvents('acme', { limit: 50 });
    expect(items.filter((event) => event.kind === 'refused').map((event) => event.rule)).toEqual(['S9']);
    lie = false;
    expect(await created(world)).toEqual([]);
  });
});
