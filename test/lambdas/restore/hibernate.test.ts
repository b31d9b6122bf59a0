import { describe, expect, test } from 'vitest';
import { problemsOf } from '../../fakes/sim/world.ts';
import { ask, asleep, backedUp, change, healed, problems, record, started, told } from './world.ts';

describe('hibernation', () => {
  test('saves everything and stops everything; the name stays; the sweep leaves it alone', async () => {
    const world = await started();
    const leading = [...world.members.clusters.values()][0]!;
    leading.index = 4_711;
    for (const member of world.members.members.values()) member.applied = 4_711;
    const operationId = await ask(world, 'hibernate');
    expect(await world.until(asleep(world), 120)).toBe(true);
    const tenant = await record(world);
    expect(tenant.status).toMatchObject({ phase: 'hibernated', source: { revision: 4_711 } });
    expect(tenant.members).toEqual({});
    expect(world.ecs.alive('acme')).toEqual([]);
    expect([...world.names.services.values()].map((service) => service.instances.size)).toEqual([0]);
    expect((await world.store.listBackups('acme'))[0]).toMatchObject({
      reason: 'hibernate',
      revision: 4_711,
    });
    expect(await world.store.getOperation('acme', operationId)).toMatchObject({ state: 'succeeded' });
    const tasks = world.ecs.tasks.size;
    await world.settle(3_600);
    expect(world.ecs.tasks.size).toBe(tasks);
    expect(await record(world)).toMatchObject({ status: { phase: 'hibernated' } });
    expect((await record(world)).sickSince).toBeUndefined();
    expect(world.errors).toEqual([]);
    expect(world.members.violations).toEqual([]);
  });

  test('wakes up with the same data, under the same name, as the spec says by then', async () => {
    const world = await started();
    await ask(world, 'hibernate');
    await world.until(asleep(world), 120);
    const { nameServiceId } = await record(world);
    await change(world, (tenant) => ({
      ...tenant,
      generation: tenant.generation + 1,
      spec: { ...tenant.spec, members: 1 },
    }));
    await ask(world, 'wake');
    expect(await world.until(healed(world), 120)).toBe(true);
    const tenant = await record(world);
    expect(tenant.nameServiceId).toBe(nameServiceId);
    expect(Object.keys(tenant.members)).toHaveLength(1);
    expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
    expect(tenant.observedGeneration).toBe(tenant.generation);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });

  test('the last member is never stopped before it is saved', async () => {
    const world = await started();
    let savedBefore = true;
    world.members.snapshotPolls = 6;
    world.ecs.onStopped = ((told) => (task) => {
      if (world.ecs.alive('acme').length === 0) savedBefore &&= world.members.bucket.objects.size > 0;
      told(task);
    })(world.ecs.onStopped);
    await ask(world, 'hibernate');
    await world.until(asleep(world), 120);
    expect(savedBefore).toBe(true);
  });

  test('a hibernation whose last member is lost is given up, and the cluster comes back of its backup', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_200);
    world.members.snapshotPolls = 1_000;
    const operationId = await ask(world, 'hibernate');
    await world.until(() => world.ecs.alive('acme').length === 1, 60);
    for (const task of world.ecs.alive('acme')) world.ecs.end(task, 'Host is gone');
    world.members.snapshotPolls = 3;
    expect(await world.until(async () => (await problems(world)).length === 0, 300)).toBe(true);
    const tenant = await record(world);
    expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
    expect(await world.store.getOperation('acme', operationId)).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('the cluster is repaired instead'),
    });
    const story = (await told(world)).join('\n');
    expect(story).toContain('Prepared: revision 1200');
  });

  test('deletes while asleep', async () => {
    const world = await started();
    await ask(world, 'hibernate');
    await world.until(asleep(world), 120);
    await world.deleteTenant('acme');
    expect(await world.until(async () => (await world.store.get('acme')) === undefined, 120)).toBe(true);
    expect(await problems(world)).toEqual(['there is no record']);
  });
});
