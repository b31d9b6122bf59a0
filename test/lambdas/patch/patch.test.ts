import { describe, expect, test } from 'vitest';
import { membersIn } from '../../../lambdas/core/members.ts';
import type { World } from '../../fakes/sim/world.ts';
import { created, settled, stepsOf } from '../scale/support.ts';

const versionsOf = async (world: World): Promise<(string | undefined)[]> =>
  Object.values((await world.store.get('acme'))!.members).map((member) => member.made?.version);
const messageOf = async (world: World, operationId: string): Promise<string | undefined> =>
  (await world.store.getOperation('acme', operationId))?.message;

describe('patch', () => {
  test.each([
    ['3.6.14', '3.6.16'],
    ['3.5.35', '3.6.16'],
    ['3.6.16', '3.7.3'],
  ])('brings a cluster from %s to %s by surge', async (from, to) => {
    const world = await created({}, { version: from });
    await world.changeSpec('acme', 'patch', { version: to });
    expect(await settled(world)).toEqual([]);
    expect(await versionsOf(world)).toEqual([to, to, to]);
    expect(world.ecs.tasks.size).toBe(6);
  });

  test.each([
    ['3.6.16', '3.5.35', 3],
    ['3.7.3', '3.6.16', 5],
    ['3.6.16', '3.5.35', 1],
  ] as const)('brings a cluster from %s down to %s in place (%i members)', async (from, to, members) => {
    const world = await created({}, { version: from, members });
    await world.changeSpec('acme', 'patch', { version: to });
    expect(await settled(world)).toEqual([]);
    expect(await versionsOf(world)).toEqual(Array(members).fill(to));
    // Same tasks, same disks.
    expect(world.ecs.tasks.size).toBe(members);
    const steps = await stepsOf(world, 'patch');
    expect(steps.filter((step) => step === 'swap-binary')).toHaveLength(members);
    const leads = steps.indexOf('move-leadership');
    if (members > 1) expect(leads).toBe(steps.lastIndexOf('swap-binary') - 1);
  });

  test('goes down right after it went up: waits until etcd itself has gone up, and swaps nobody before etcd agrees', async () => {
    const world = await created({}, { version: '3.6.16' });
    await world.changeSpec('acme', 'patch', { version: '3.7.3' });
    const idle = async () => (await world.store.get('acme'))!.operation === undefined;
    await world.until(idle, 600);
    await world.changeSpec('acme', 'patch', { version: '3.6.16' });
    expect(await settled(world)).toEqual([]);
    expect(await versionsOf(world)).toEqual(['3.6.16', '3.6.16', '3.6.16']);
    expect(world.members.violations).toEqual([]);
    expect(await stepsOf(world, 'patch')).toContain('downgrade');
  });

  test('takes a member that is swapped for what it is, also in a cluster of long ago', async () => {
    const world = await created({}, { version: '3.6.16' });
    await world.settle(20 * 60);
    await world.changeSpec('acme', 'patch', { version: '3.5.35' });
    expect(await settled(world)).toEqual([]);
    expect(await versionsOf(world)).toEqual(['3.5.35', '3.5.35', '3.5.35']);
    const { items } = await world.store.listOperations('acme', { limit: 10 });
    expect(items.map(({ kind }) => kind)).toEqual(['patch', 'create']);
  });

  test('replaces members whose image is an older one, and only once', async () => {
    const world = await created();
    const tenant = (await world.store.get('acme'))!;
    const old = Object.values(tenant.members).map((member) => ({
      ...member,
      made: { ...member.made!, taskDefinition: 'node-ephemeral:0' },
    }));
    const members = Object.fromEntries(old.map((member) => [member.name, member]));
    await world.changeSpec('acme', 'patch', {}, { members });
    expect(await settled(world)).toEqual([]);
    expect(world.ecs.tasks.size).toBe(6);
  });

  test.each([
    ['below the gate', '3.5.30', '3.6.16', '3.5.32'],
    ['skipping a minor', '3.5.35', '3.7.3', 'more than one minor step'],
    ['skipping a minor down', '3.7.3', '3.5.35', 'more than one minor step'],
  ])('refuses a step %s, and says what to do', async (_name, from, to, reason) => {
    const world = await created({}, { version: from });
    const operationId = await world.changeSpec('acme', 'patch', { version: to });
    await world.settle(400);
    expect(await messageOf(world, operationId)).toContain(reason);
    expect(world.ecs.tasks.size).toBe(3);
    expect(await versionsOf(world)).toEqual([from, from, from]);
  });

  test('heals a member that is lost meanwhile first, then goes on', async () => {
    const world = await created({}, { version: '3.5.35' });
    const operationId = await world.changeSpec('acme', 'patch', { version: '3.6.16' });
    const voters = async () =>
      membersIn((await world.store.get('acme'))!, 'voting').filter((each) => each.made?.version === '3.6.16');
    await world.until(async () => (await voters()).length === 2, 90);
    world.ecs.end(world.ecs.tasks.get((await voters())[0]!.taskArn)!, 'Host is gone');
    expect(await settled(world, 1_500)).toEqual([]);
    expect(await versionsOf(world)).toEqual(['3.6.16', '3.6.16', '3.6.16']);
    expect((await world.store.getOperation('acme', operationId))?.state).toBe('succeeded');
    const { items } = await world.store.listOperations('acme', { limit: 10 });
    expect(items.map((operation) => operation.kind)).toContain('remediate');
  });

  test('does not begin a minor step while a member is lost: what replaces it runs what the others run', async () => {
    const world = await created({}, { version: '3.5.35' });
    world.ecs.end(world.ecs.alive('acme')[0]!, 'Host is gone');
    const launched: (string | undefined)[] = [];
    world.members.onBoot = (task) => {
      void world.store.get('acme').then((tenant) => {
        launched.push(tenant!.members[task.memberName]?.made?.version);
      });
    };
    await world.changeSpec('acme', 'patch', { version: '3.6.16' });
    expect(await settled(world, 1_500)).toEqual([]);
    expect(launched[0]).toBe('3.5.35');
    expect(await versionsOf(world)).toEqual(['3.6.16', '3.6.16', '3.6.16']);
  });

  test.each([0, 1, 2])(
    'cancels a downgrade when a member is lost after %i swaps, heals, and goes down all the same',
    async (swaps) => {
      const world = await created({}, { version: '3.6.16' });
      await world.changeSpec('acme', 'patch', { version: '3.5.35' });
      const [cluster] = [...world.members.clusters.values()];
      await world.until(async () => {
        const down = (await versionsOf(world)).filter((each) => each === '3.5.35').length;
        return cluster!.downgradeTo !== undefined && down === swaps;
      }, 90);
      world.ecs.end(world.ecs.alive('acme')[0]!, 'Host is gone');
      expect(await settled(world, 1_800)).toEqual([]);
      expect(await versionsOf(world)).toEqual(['3.5.35', '3.5.35', '3.5.35']);
      expect(world.members.violations).toEqual([]);
    },
  );

  test('leaves a downgrade alone when a member is unready for a moment: only who is lost needs it cancelled', async () => {
    const world = await created({}, { version: '3.6.16' });
    await world.changeSpec('acme', 'patch', { version: '3.5.35' });
    const [cluster] = [...world.members.clusters.values()];
    await world.until(async () => {
      const down = (await versionsOf(world)).filter((each) => each === '3.5.35').length;
      return cluster!.downgradeTo !== undefined && down === 1;
    }, 90);
    const swapped = membersIn((await world.store.get('acme'))!, 'voting').find(
      ({ made }) => made?.version === '3.5.35',
    )!;
    world.members.setState(swapped.name, 'not-ready');
    await world.settle(5);
    expect(cluster!.downgradeTo).toBeDefined();
    world.members.setState(swapped.name, 'ready');
    expect(await settled(world, 1_800)).toEqual([]);
    expect(await versionsOf(world)).toEqual(['3.5.35', '3.5.35', '3.5.35']);
    expect(world.members.violations).toEqual([]);
    const { items } = await world.store.listEvents('acme', { limit: 200 });
    expect(items.map(({ message }) => message).filter((text) => /: cancel/.test(text))).toEqual([]);
  });

  test('waits for the maintenance window', async () => {
    const maintenanceWindow = { days: ['thu' as const], start: '01:00', minutes: 60 };
    const world = await created({}, { version: '3.6.14', maintenanceWindow });
    const operationId = await world.changeSpec('acme', 'patch', { version: '3.6.16' });
    await world.settle(900);
    expect(await messageOf(world, operationId)).toContain('2026-01-01T01:00:00.000Z');
    expect(await settled(world, 3_600)).toEqual([]);
  });
});
