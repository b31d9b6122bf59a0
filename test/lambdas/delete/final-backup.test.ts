import { describe, expect, test } from 'vitest';
import { withoutFinal } from '../../../lambdas/core/backup/final.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { untilHealthy, World, type WorldOptions } from '../../fakes/sim/world.ts';

const gone = (world: World) => async () => (await world.store.get('acme')) === undefined;
const reasons = async (world: World) => (await world.store.listBackups('acme')).map(({ reason }) => reason);

async function createdWorld(options: WorldOptions = {}): Promise<World> {
  const world = new World(options);
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  return world;
}

async function loseQuorum(world: World): Promise<void> {
  for (const task of world.ecs.alive('acme').slice(0, 2)) {
    world.members.setState(task.memberName, 'backing-off');
  }
}

describe('the final backup of a tenant', () => {
  test('is taken before anything is touched, and stays', async () => {
    const world = await createdWorld();
    await world.settle(200);
    expect(await reasons(world)).toEqual(['scheduled']);
    const operationId = await world.deleteTenant('acme', { finalBackup: true });
    expect(await world.until(gone(world), 60)).toBe(true);
    expect(await reasons(world)).toEqual(['before-delete', 'scheduled']);
    const { steps } = (await world.store.getOperation('acme', operationId))!;
    expect(steps.map((step) => step.name)).toEqual([
      'wait-for-final-backup',
      'deregister-names',
      'stop-tasks',
      'wait-for-stop',
      'delete-name',
    ]);
    const [final] = await world.store.listBackups('acme');
    const stopped = steps.find((step) => step.name === 'deregister-names')!;
    expect(final!.endedAt <= stopped.startedAt).toBe(true);
    expect(world.errors).toEqual([]);
  });

  test('is asked for again when the look that asked for it was lost', async () => {
    const world = await createdWorld();
    await world.settle(200);
    await world.deleteTenant('acme', { finalBackup: true, lookLost: true });
    expect(await world.until(gone(world), 90)).toBe(true);
    expect((await reasons(world))[0]).toBe('before-delete');
  });

  test('is waited for while no quorum gives one: the operation says how to do without', async () => {
    const world = await createdWorld();
    await loseQuorum(world);
    const operationId = await world.deleteTenant('acme', { finalBackup: true });
    await world.settle(700);
    expect(world.ecs.alive('acme')).toHaveLength(3);
    const operation = (await world.store.getOperation('acme', operationId))!;
    expect(operation.state).toBe('running');
    expect(operation.message).toContain('nanny delete acme --yes --no-final-backup');
    expect(operation.message).toMatch(/no final backup could be taken/);

    // As the API does it.
    await updateTenant(world, (await world.store.get('acme'))!, withoutFinal);
    await world.dispatcher.look('acme', 'delete');
    expect(await world.until(gone(world), 60)).toBe(true);
    expect(await reasons(world)).not.toContain('before-delete');
  });

  test('comes when the members are well again, however long that takes', async () => {
    const world = await createdWorld();
    const sick = world.ecs.alive('acme').slice(0, 2);
    await loseQuorum(world);
    await world.deleteTenant('acme', { finalBackup: true });
    await world.settle(800);
    for (const task of sick) world.members.setState(task.memberName, 'ready');
    expect(await world.until(gone(world), 120)).toBe(true);
    expect((await reasons(world))[0]).toBe('before-delete');
  });

  test('is not wanted of a cluster that has never formed', async () => {
    const world = new World();
    await world.createTenant('acme');
    await world.deleteTenant('acme', { finalBackup: true });
    expect(await world.until(gone(world), 90)).toBe(true);
    expect(await reasons(world)).toEqual([]);
  });

  test.each(['delete', 'backup'] as const)(
    'is taken whatever call %s dies at',
    async (name) => {
      const crash = (call: number, when: 'before' | 'after') => ({
        crash: { function: name, point: { call, when } },
      });
      const probe = await createdWorld(crash(-1, 'before'));
      await probe.settle(200);
      const before = probe.ports.calls.length;
      await probe.deleteTenant('acme', { finalBackup: true });
      await probe.until(gone(probe));
      const all = probe.ports.calls.length;
      expect(all - before).toBeGreaterThan(3);
      const failures: string[] = [];
      for (let call = before + 1; call <= all; call++) {
        for (const when of ['before', 'after'] as const) {
          const world = await createdWorld(crash(call, when));
          await world.settle(200);
          await world.deleteTenant('acme', { finalBackup: true });
          await world.until(gone(world));
          await world.settle(150);
          const left = world.ecs.alive('acme').map((task) => task.memberName);
          if (!(await gone(world)())) left.push('the record');
          if (!(await reasons(world)).includes('before-delete')) left.push('no final backup');
          if (left.length > 0) failures.push(`${when} call ${call}: ${left.join('; ')}`);
        }
      }
      expect(failures).toEqual([]);
    },
    120_000,
  );
});
