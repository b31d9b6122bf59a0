import { expect, test } from 'vitest';
import { problemsOf } from '../../fakes/sim/world.ts';
import { backedUp, clone, started } from './world.ts';

test('a clone is a tenant of its own with the data of another one, which is not touched', async () => {
  const world = await started();
  await backedUp(world, 1_000, 1_500);
  const before = world.ecs.alive('acme').map((task) => task.taskArn);
  await clone(world, { kind: 'revision', revision: 1_300 });
  const well = async () => (await problemsOf(world, 'copy')).length === 0;
  expect(await world.until(well, 300)).toBe(true);
  expect(await problemsOf(world, 'acme')).toEqual([]);
  expect(world.ecs.alive('acme').map((task) => task.taskArn)).toEqual(before);
  const [source, copy] = [(await world.store.get('acme'))!, (await world.store.get('copy'))!];
  expect(copy.pki?.caBundle).not.toBe(source.pki?.caBundle);
  expect(copy.incarnation.number).toBe(1);
  expect(copy.work).toBeUndefined();
  const [operation] = (await world.store.listOperations('copy', { limit: 1 })).items;
  expect(operation).toMatchObject({
    kind: 'create',
    state: 'succeeded',
    report: { from: 'acme', revision: 1_300, lost: null },
  });
  const [restored] = [...world.members.restored.values()].flatMap((sources) => [...sources]);
  expect(restored).toMatch(/^cell-1\/copy\/1\/prepared\//);
});

test('a clone that cannot be made fails, says why, and can be deleted', async () => {
  const world = await started();
  const backup = await backedUp(world, 1_000);
  const failure = { state: 'failed', code: 'damaged', problem: 'it is missing', key: backup.key } as const;
  world.members.bucket.failures.push(failure);
  await clone(world);
  const failed = async () => (await world.store.get('copy'))?.status.phase === 'failed';
  expect(await world.until(failed, 120)).toBe(true);
  await world.settle(300);
  expect((await world.store.get('copy'))?.operation).toBeUndefined();
  expect(world.ecs.alive('copy')).toEqual([]);
  const [operation] = (await world.store.listOperations('copy', { limit: 1 })).items;
  expect(operation).toMatchObject({ state: 'failed', message: expect.stringContaining('it is missing') });
  await world.deleteTenant('copy');
  expect(await world.until(async () => (await world.store.get('copy')) === undefined, 120)).toBe(true);
});
