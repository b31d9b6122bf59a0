import { describe, expect, test } from 'vitest';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { ask, asleep, backedUp } from '../restore/world.ts';
import { healed, record, started, told } from './world.ts';

const ebs = async (spec: Parameters<typeof started>[1] = {}): Promise<World> => {
  const world = await started({}, { volume: 'ebs', ...spec });
  world.volumes.copyPolls = 3;
  return world;
};

/** Every task ends at once; what was on each member's disk then, in the order of the members' names. */
function killAll(world: World, revisions: readonly number[] = []): string[] {
  const tasks = world.ecs.alive('acme').sort((a, b) => (a.memberName < b.memberName ? -1 : 1));
  for (const [index, task] of tasks.entries()) {
    world.members.members.get(task.memberName)!.applied = revisions[index] ?? 50;
    world.ecs.end(task, 'Region on fire');
  }
  return tasks.map(({ memberName }) => memberName);
}

const recovered = async (world: World, seconds = 300): Promise<string> => {
  await world.settle(1);
  await world.until(healed(world), seconds);
  expect(await problemsOf(world, 'acme')).toEqual([]);
  expect((await record(world)).incarnation).toMatchObject({ state: 'formed', number: 2 });
  return (await told(world)).join('\n');
};

describe('nobody is left, and the disks are kept', () => {
  test('each is looked at by a worker, and the furthest makes the new incarnation', async () => {
    const world = await ebs();
    await backedUp(world, 40, 45);
    const [a, b, c] = killAll(world, [70, 90, 80]);
    const story = await recovered(world);
    const order = [
      `The disks of`,
      'at most what was acknowledged within the last replication round',
      'Copied: the disks of',
      `The disk of ${b} reaches revision 90`,
      `Best source is the disk of ${b}: revision 90`,
      'Incarnation 2 begins from revision 90',
    ];
    const places = order.map((what) => story.indexOf(what));
    expect(places[0]).toBeGreaterThan(0);
    expect(places).toEqual([...places].sort((x, y) => x - y));
    for (const name of [a, c]) expect(story).toContain(`The disk of ${name} reaches revision`);
    // What does not reach further is not published.
    const published = [...world.members.bucket.objects.keys()].filter((key) => key.includes('prepared/'));
    expect(published.length).toBeLessThan(3);
    expect((await record(world)).work).toBeUndefined();
  });

  test('a cluster of one member comes back of its disk', async () => {
    const world = await ebs({ members: 1 });
    await backedUp(world, 40);
    killAll(world, [77]);
    expect(await recovered(world)).toContain('Incarnation 2 begins from revision 77');
  });

  test('without any backup too', async () => {
    const world = await ebs();
    for (const { backupId } of await world.store.listBackups('acme')) {
      await world.store.removeBackup('acme', backupId);
    }
    killAll(world, [70, 90, 80]);
    expect(await recovered(world)).toContain('Incarnation 2 begins from revision 90');
  });

  test('what was shipped beyond a disk counts with it', async () => {
    const world = await ebs();
    await backedUp(world, 40, 95);
    killAll(world, [70, 90, 80]);
    expect(await recovered(world)).toContain('Incarnation 2 begins from revision 95');
  });

  test('segments that cannot be used make no disk useless', async () => {
    const world = await ebs({ members: 1 });
    await backedUp(world, 40);
    world.members.bucket.failures.push({ state: 'failed', code: 'gap', problem: 'no segment holds 78' });
    killAll(world, [77]);
    const story = await recovered(world);
    expect(story).toContain('it is looked at without');
    expect(story).toContain('Incarnation 2 begins from revision 77');
  });

  test('disks that cannot be opened: the backup, and what is lost is told anew', async () => {
    const world = await ebs();
    await backedUp(world, 40, 45);
    for (let each = 0; each < 3; each++) {
      world.members.bucket.failures.push({ state: 'failed', code: 'unusable', problem: 'the WAL is torn' });
    }
    killAll(world);
    const story = await recovered(world);
    expect(story).toContain('the WAL is torn');
    expect(story).toMatch(/No disk reaches as far .*Best source is backup .* is lost/);
    expect(story).toContain('Prepared: revision 45');
  });

  test('a disk that is gone too does not hold up the others', async () => {
    const world = await ebs();
    const names = killAll(world, [70, 90, 80]);
    await world.settle(0.001);
    world.volumes.lose(`vol-${names[1]}`);
    const story = await recovered(world);
    expect(story).toContain(`those of ${names[1]} are gone`);
    expect(story).toContain('Incarnation 2 begins from revision 80');
  });

  test('all disks are gone: the backup, at once', async () => {
    const world = await ebs();
    await backedUp(world, 40, 45);
    world.diskless = true;
    killAll(world);
    expect(await recovered(world, 120)).toContain('Prepared: revision 45');
  });

  test('nothing worse is taken while a disk cannot be read for a passing reason', async () => {
    const world = await ebs();
    await backedUp(world, 40, 45);
    for (let each = 0; each < 6; each++) {
      world.members.bucket.failures.push({ state: 'failed', code: 'passing', problem: 'S3 is down' });
    }
    killAll(world, [70, 90, 80]);
    await world.settle(60);
    expect((await record(world)).incarnation.number).toBe(1);
    expect((await told(world)).join('\n')).toContain('did not make it (S3 is down)');
    expect(await recovered(world, 900)).toContain('Incarnation 2 begins from revision 90');
  });

  test('under policy approve: nothing is copied before a person agrees; a worse source needs another word', async () => {
    const world = await ebs({ recovery: 'approve' });
    await backedUp(world, 40, 45);
    for (let each = 0; each < 3; each++) {
      world.members.bucket.failures.push({ state: 'failed', code: 'unusable', problem: 'the WAL is torn' });
    }
    killAll(world);
    const agree = async (): Promise<void> => {
      await updateTenant(world, await record(world), (tenant) => ({
        ...tenant,
        remediation: { ...tenant.remediation!, approved: true },
      }));
      await world.dispatcher.look('acme', 'remediate');
    };
    await world.settle(300);
    expect(world.ecs.tasks.size).toBe(3);
    expect((await record(world)).remediation?.reason).toContain('last replication round');
    await agree();
    await world.settle(300);
    expect((await record(world)).remediation?.reason).toContain('Best source is backup');
    expect((await record(world)).incarnation.number).toBe(1);
    await agree();
    await recovered(world);
  });

  test('in use by tasks that have stopped, says ECS: a person is told after a minute, and nothing is done before five', async () => {
    const world = await ebs();
    await backedUp(world, 40, 45);
    const list = world.volumes.list.bind(world.volumes);
    world.volumes.list = async (...args) =>
      (await list(...args)).map((disk) => ({ ...disk, state: 'attached' as const }));
    killAll(world, [70, 90, 80]);
    const said = async () => {
      const { items } = await world.store.listOperations('acme', { limit: 1 });
      return items[0]?.message ?? '';
    };
    expect(await world.until(async () => (await said()).includes('one of the two is wrong'), 90)).toBe(true);
    await world.settle(150);
    expect((await record(world)).incarnation).toMatchObject({ number: 1 });
    expect(await world.until(async () => (await said()).includes('are kept'), 180)).toBe(true);
  });

  test('a copy of an earlier recovery is not taken for what was written since', async () => {
    const world = await ebs();
    const names = killAll(world, [70, 90, 80]);
    await world.settle(0.001);
    const disks = await world.volumes.list(world.cell, 'acme');
    for (const disk of disks) await world.volumes.copy(world.cell, disk, 'an-earlier-one');
    for (const name of names) world.volumes.write(`vol-${name}`, 99);
    expect(await recovered(world)).toContain('Incarnation 2 begins from revision 99');
  });

  test('disks of members that had left before count for nothing', async () => {
    const world = await ebs();
    const [gone] = world.ecs.alive('acme');
    world.members.members.get(gone!.memberName)!.applied = 500;
    world.ecs.end(gone!, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 120);
    killAll(world, [70, 90, 80]);
    expect(await recovered(world)).toContain('Incarnation 2 begins from revision 90');
  });
});

describe('disks that members have left', () => {
  const kept = async (world: World): Promise<string[]> =>
    (await world.volumes.listKept()).map(({ memberName }) => memberName);

  test('stay until the cluster is well again, and are removed then, with what was copied of them', async () => {
    const world = await ebs();
    const names = killAll(world, [70, 90, 80]);
    await world.until(async () => (await record(world)).incarnation.number === 2, 300);
    expect((await kept(world)).sort()).toEqual(names.sort());
    await recovered(world);
    expect(await world.until(async () => (await kept(world)).length === 0, 200)).toBe(true);
    await world.settle(300);
    expect(await record(world)).not.toHaveProperty('leftDisks');
    expect((await told(world)).join('\n')).toContain('3 disks of former members removed');
    // Those of the members are in use.
    expect((await world.volumes.list(world.cell, 'acme')).map(({ state }) => state)).toEqual([
      'attached',
      'attached',
      'attached',
    ]);
  });

  test('of a member that was replaced: as soon as all members are well', async () => {
    const world = await ebs();
    const [lost] = world.ecs.alive('acme');
    world.ecs.end(lost!, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 120);
    expect(await kept(world)).toEqual([lost!.memberName]);
    expect(await world.until(async () => (await kept(world)).length === 0, 300)).toBe(true);
  });

  test('which no record remembers are found by the round', async () => {
    const world = await ebs();
    world.volumes.keep({
      volumeId: 'vol-forgotten',
      tenantId: 'acme',
      memberName: 'mforgotten',
      createdAt: world.clock.now().toISOString(),
    });
    expect(await world.until(async () => (await kept(world)).length === 0, 900)).toBe(true);
  });

  test('of a tenant that does not exist: removed by the round after an hour, not before', async () => {
    const world = await ebs();
    world.volumes.keep({
      volumeId: 'vol-nobodys',
      tenantId: 'nobody',
      memberName: 'maaaaaaaa',
      createdAt: world.clock.now().toISOString(),
    });
    await world.settle(59 * 60);
    expect(await kept(world)).toEqual(['maaaaaaaa']);
    expect(await world.until(async () => (await kept(world)).length === 0, 900)).toBe(true);
  });

  test('are not paid for while the tenant is asleep', async () => {
    const world = await ebs();
    await ask(world, 'hibernate');
    expect(await world.until(asleep(world), 300)).toBe(true);
    expect(await world.until(async () => (await kept(world)).length === 0, 1_000)).toBe(true);
    expect(world.volumes.removed).toHaveLength(3);
    await ask(world, 'wake');
    expect(await world.until(healed(world), 300)).toBe(true);
  });

  test('stay while automation is paused', async () => {
    const world = await ebs();
    const [lost] = world.ecs.alive('acme');
    world.ecs.end(lost!, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 120);
    const paused = { since: world.clock.now().toISOString(), by: 'somebody', reason: 'a look' };
    await updateTenant(world, await record(world), (tenant) => ({ ...tenant, paused }));
    await world.settle(900);
    expect(await kept(world)).toEqual([lost!.memberName]);
    await updateTenant(world, await record(world), ({ paused: _paused, ...tenant }) => tenant);
    expect(await world.until(async () => (await kept(world)).length === 0, 300)).toBe(true);
  });

  test('and are still on their way off a task hold up the deletion, but not for ever', async () => {
    const world = await ebs();
    const createdAt = world.clock.now().toISOString();
    const stuck = { volumeId: 'vol-stuck', tenantId: 'acme', memberName: 'mstuck000', createdAt };
    world.volumes.attach(stuck, 'task/unknown');
    await world.deleteTenant('acme');
    await world.settle(600);
    expect(await world.store.get('acme')).toBeDefined();
    expect(await world.until(async () => (await world.store.get('acme')) === undefined, 600)).toBe(true);
  });

  test('go with their tenant', async () => {
    const world = await ebs();
    await world.deleteTenant('acme');
    expect(await world.until(async () => (await world.store.get('acme')) === undefined, 300)).toBe(true);
    expect(await world.volumes.list(world.cell, 'acme')).toEqual([]);
    expect(world.volumes.removed).toHaveLength(3);
  });
});
