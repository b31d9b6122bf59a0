import { describe, expect, test } from 'vitest';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { ask, asleep, backedUp, clone, healed, record, restore, started, told } from './world.ts';

const formed = (world: World, number: number) => async (): Promise<boolean> => {
  const { incarnation } = await record(world);
  return incarnation.state === 'formed' && incarnation.number === number;
};

/** All members and their disks, before the first backup of this incarnation can begin. */
async function loseAll(world: World, tenantId = 'acme'): Promise<void> {
  for (const task of world.ecs.alive(tenantId)) world.ecs.end(task, 'Region on fire');
  const own = (await world.store.listBackups(tenantId)).filter(({ madeOf }) => madeOf === undefined);
  const { number } = (await world.store.get(tenantId))!.incarnation;
  expect(own.filter(({ incarnation }) => incarnation === number)).toEqual([]);
}

describe('everything is lost in the second after a restore', () => {
  test('what was restored comes back, not what the restore has taken back; and it is told', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    await restore(world, { kind: 'revision', revision: 1_200 });
    await world.until(formed(world, 2), 300);
    await loseAll(world);
    await world.settle(1);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await record(world)).incarnation).toMatchObject({ state: 'formed', number: 3 });
    const story = (await told(world)).join('\n');
    expect(story).toContain('up to revision 1000001200: what incarnation 2 began from');
    expect(story).toContain('Incarnation 3 begins from revision 1000001200');
    expect(story).not.toContain('revision 1500,');
  });

  test('and the restored object is damaged too: the same restore is done once more', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    await restore(world, { kind: 'revision', revision: 1_200 });
    await world.until(formed(world, 2), 300);
    const [beginning] = (await world.store.listBackups('acme')).filter(({ madeOf }) => madeOf);
    world.members.bucket.objects.delete(beginning!.key);
    await loseAll(world);
    await world.settle(1);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    const story = (await told(world)).join('\n');
    expect(story).toContain('of incarnation 1, up to what the one that is lost was made of');
    expect(story).toContain('Incarnation 3 begins from revision 1200');
  });

  test('twice in a row: still the first restore', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    await restore(world, { kind: 'revision', revision: 1_200 });
    for (const number of [2, 3]) {
      await world.until(formed(world, number), 300);
      await loseAll(world);
      await world.settle(1);
    }
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await told(world)).join('\n')).toContain('Incarnation 4 begins from revision 2000001200');
  });

  test('a restore to newest then is of what was restored', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    await restore(world, { kind: 'revision', revision: 1_200 });
    await world.until(formed(world, 2), 300);
    for (const { backupId, madeOf, incarnation } of await world.store.listBackups('acme')) {
      if (incarnation === 2 && !madeOf) await world.store.removeBackup('acme', backupId);
    }
    await world.until(async () => (await record(world)).operation === undefined, 60);
    const operationId = await restore(world);
    await world.until(
      async () => (await world.store.getOperation('acme', operationId))?.endedAt !== undefined,
      300,
    );
    expect((await world.store.getOperation('acme', operationId))?.report?.revision).toBeGreaterThanOrEqual(
      1_000_001_200,
    );
  });
});

describe('everything is lost in the second after it came to life', () => {
  test('a clone comes back as it was cloned', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    await clone(world);
    const copy = async () => (await world.store.get('copy'))!;
    await world.until(async () => (await copy()).operation === undefined, 300);
    for (const { backupId, madeOf } of await world.store.listBackups('copy')) {
      if (!madeOf) await world.store.removeBackup('copy', backupId);
    }
    for (const task of world.ecs.alive('copy')) world.ecs.end(task, 'Region on fire');
    await world.settle(1);
    await world.until(async () => (await problemsOf(world, 'copy')).length === 0, 300);
    expect(await problemsOf(world, 'copy')).toEqual([]);
    expect((await copy()).incarnation).toMatchObject({ state: 'formed', number: 2 });
  });

  test('a tenant woken up comes back as it went to sleep', async () => {
    const world = await started();
    await ask(world, 'hibernate');
    await world.until(asleep(world), 300);
    await ask(world, 'wake');
    await world.until(formed(world, 2), 300);
    await loseAll(world);
    await world.settle(1);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await told(world)).join('\n')).toContain('what incarnation 2 began from');
  });
});
