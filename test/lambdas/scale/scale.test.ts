import { describe, expect, test } from 'vitest';
import { memberTasks, problemsOf, type World, type WorldOptions } from '../../fakes/sim/world.ts';
import { created, settled, stepsOf } from './support.ts';

const zonesOf = async (world: World): Promise<string[]> =>
  Object.values((await world.store.get('acme'))!.members).map((member) => member.zone);

describe('scale', () => {
  const counts = [1, 3, 5] as const;
  const pairs = counts.flatMap((from) => counts.map((to) => [from, to] as const));
  test.each(pairs.filter(([from, to]) => from !== to))(
    'brings a cluster from %i to %i members, spread over the zones',
    async (from, to) => {
      const world = await created({}, { members: from });
      await world.changeSpec('acme', 'scale', { members: to });
      expect(await settled(world)).toEqual([]);
      const tenant = (await world.store.get('acme'))!;
      expect(Object.keys(tenant.members)).toHaveLength(to);
      expect(new Set(await zonesOf(world)).size).toBe(Math.min(to, 3));
      expect(tenant.observedGeneration).toBe(2);
      expect(world.ecs.alive('acme')).toHaveLength(to);
    },
  );

  test('another compaction reaches every member, and the same one nobody', async () => {
    const world = await created();
    const same = { mode: 'periodic' as const, retentionMinutes: 60 };
    await world.changeSpec('acme', 'resize', { autoCompaction: same });
    expect(await settled(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(3);
    await world.changeSpec('acme', 'resize', {
      autoCompaction: { mode: 'revision', retentionRevisions: 500 },
    });
    expect(await settled(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(6);
    const flags = Object.keys((await world.store.get('acme'))!.members).map(
      (name) => world.members.members.get(name)!.arguments,
    );
    expect(flags.every((each) => each?.includes('--auto-compaction-retention=500'))).toBe(true);
  });

  test('keeps the leader when a cluster shrinks to one', async () => {
    const world = await created({}, { members: 5 });
    const [cluster] = [...world.members.clusters.values()];
    const leader = cluster!.leader;
    await world.changeSpec('acme', 'scale', { members: 1 });
    expect(await settled(world)).toEqual([]);
    expect(cluster!.leader).toBe(leader);
    expect([...cluster!.members.keys()]).toEqual([leader]);
  });

  test('takes a change of mind along: 3 → 5, and back to 1 in the middle', async () => {
    const world = await created();
    const operationId = await world.changeSpec('acme', 'scale', { members: 5 });
    await world.until(async () => Object.keys((await world.store.get('acme'))!.members).length === 5, 60);
    const tenant = (await world.store.get('acme'))!;
    await world.store.save(
      {
        ...tenant,
        recordVersion: tenant.recordVersion + 1,
        generation: 3,
        spec: { ...tenant.spec, members: 1 },
      },
      tenant.recordVersion,
    );
    expect(await settled(world)).toEqual([]);
    const after = (await world.store.get('acme'))!;
    expect(Object.keys(after.members)).toHaveLength(1);
    expect(after.observedGeneration).toBe(3);
    expect((await world.store.getOperation('acme', operationId))?.state).toBe('succeeded');
  });

  const disturbances: [string, NonNullable<WorldOptions['messages']>][] = [
    ['doubled and late', { copies: 2, delayMs: (n) => (n * 3_137) % 9_000 }],
    // Not every other one: the sweep sends two a minute, and the same one of them would be lost for ever. The first ones
    // are those of the creation, which is over before the spec is changed.
    ['lost one in two', { lost: (n) => n > 5 && Math.imul(n, 0x9e3779b1) < 0 }],
  ];
  test.each(disturbances)('comes to the same with messages %s', async (_name, messages) => {
    const world = await created({ messages });
    await world.changeSpec('acme', 'scale', { members: 5 });
    expect(await settled(world, 1_200)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(5);
  });

  test('retires a learner that is not in sync within ten minutes, and tries another task', async () => {
    const world = await created();
    world.members.syncMs = 3_600_000;
    await world.changeSpec('acme', 'scale', { members: 5 });
    await world.settle(500);
    const [stuck] = Object.values((await world.store.get('acme'))!.members).filter(
      (member) => member.state === 'learner',
    );
    world.members.syncMs = 700;
    expect(await settled(world, 900)).toEqual([]);
    expect(Object.keys((await world.store.get('acme'))!.members)).not.toContain(stuck!.name);
    // A drill may have come and gone beside them.
    expect(memberTasks(world)).toHaveLength(6);
  });

  test('tries another task when a newcomer dies on its way', async () => {
    const world = await created();
    world.members.onBoot = (task) => {
      world.members.onBoot = () => undefined;
      world.ecs.end(task, 'Host is gone');
    };
    await world.changeSpec('acme', 'scale', { members: 5 });
    expect(await settled(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(6);
    expect([...world.members.clusters.values()][0]!.members.size).toBe(5);
  });

  test('lets a member that dies meanwhile be healed first, then goes on', async () => {
    const world = await created();
    const operationId = await world.changeSpec('acme', 'scale', { members: 5 });
    await world.settle(3);
    world.ecs.end(world.ecs.alive('acme')[1]!, 'Host is gone');
    expect(await settled(world, 1_200)).toEqual([]);
    const { items } = await world.store.listOperations('acme', { limit: 10 });
    expect(items.map((operation) => operation.kind)).toContain('remediate');
    expect((await world.store.getOperation('acme', operationId))?.state).toBe('succeeded');
    expect((await world.store.get('acme'))!.spec.members).toBe(5);
  });
});

describe('a surge replacement', () => {
  test('never leaves fewer voters than the spec says, and takes the leader last', async () => {
    const world = await created();
    const [cluster] = [...world.members.clusters.values()];
    const voters: number[] = [];
    const removed: { id: string; led: boolean }[] = [];
    let leader = cluster!.leader;
    world.members.onChange = (change, changed) => {
      voters.push(changed.voters.length);
      const [what, id] = change.split(' ');
      if (what === 'remove') removed.push({ id: id!, led: id === leader });
      leader = changed.leader;
    };
    const first = cluster!.leader;
    await world.changeSpec('acme', 'resize', { size: 'large' });
    expect(await settled(world)).toEqual([]);
    expect(Math.min(...voters)).toBe(3);
    expect(removed).toHaveLength(3);
    expect(removed[2]?.id).toBe(first);
    expect(removed.filter((each) => each.led)).toEqual([]);
    const members = Object.values((await world.store.get('acme'))!.members);
    expect(members.map((member) => member.made?.size)).toEqual(['large', 'large', 'large']);
    expect(new Set(members.map((member) => member.zone)).size).toBe(3);
  });

  test('takes the name out before the member, and hands leadership over in between', async () => {
    const world = await created({}, { members: 1 });
    const [name] = Object.keys((await world.store.get('acme'))!.members);
    await world.changeSpec('acme', 'replace', {}, { replaceRequests: { [name!]: 'somebody asked' } });
    expect(await settled(world)).toEqual([]);
    const after = (await world.store.get('acme'))!;
    expect(Object.keys(after.members)).not.toContain(name);
    expect(after.replaceRequests).toBeUndefined();
    const steps = await stepsOf(world, 'replace');
    const order = ['register-names', 'deregister-names', 'move-leadership', 'remove-member', 'stop-tasks'];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
  });

  test.each([
    ['quota', { quotaMiB: 4096 }],
    ['storage', { storageGiB: 50 }],
    ['volume', { volume: 'ebs' as const }],
  ])('brings another %s', async (_name, spec) => {
    const world = await created();
    await world.changeSpec('acme', 'resize', spec);
    expect(await settled(world)).toEqual([]);
    const { members } = (await world.store.get('acme'))!;
    for (const member of Object.values(members)) expect(member.made).toMatchObject(spec);
    expect(world.ecs.tasks.size).toBe(6);
  });

  test('waits for the maintenance window and says when it opens; scaling does not wait', async () => {
    // The world begins on a Thursday at midnight, UTC.
    const maintenanceWindow = { days: ['thu' as const], start: '01:00', minutes: 60 };
    const world = await created({}, { maintenanceWindow });
    const operationId = await world.changeSpec('acme', 'resize', { size: 'large' });
    await world.settle(1_800);
    const waiting = await world.store.getOperation('acme', operationId);
    expect(waiting?.message).toBe('the maintenance window opens at 2026-01-01T01:00:00.000Z');
    expect(world.ecs.tasks.size).toBe(3);
    expect((await world.store.get('acme'))!.status.phase).toBe('available');
    expect(await settled(world, 3_600)).toEqual([]);
    await world.changeSpec('acme', 'scale', { members: 1 });
    expect(await settled(world, 600)).toEqual([]);
  });

  test('stands still while automation is paused, and goes on afterwards', async () => {
    const world = await created();
    const paused = { since: world.clock.now().toISOString(), by: 'admin', reason: 'looking at something' };
    const operationId = await world.changeSpec('acme', 'resize', { size: 'large' }, { paused });
    await world.settle(600);
    expect(world.ecs.tasks.size).toBe(3);
    expect((await world.store.getOperation('acme', operationId))?.message).toContain('looking at something');
    const { paused: _paused, ...tenant } = (await world.store.get('acme'))!;
    await world.store.save({ ...tenant, recordVersion: tenant.recordVersion + 1 }, tenant.recordVersion);
    await world.dispatcher.look('acme', 'scale');
    expect(await settled(world)).toEqual([]);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });
});
