import { describe, expect, test } from 'vitest';
import type { CrashPoint } from '../../fakes/sim/crash.ts';
import type { World } from '../../fakes/sim/world.ts';
import { ask, asleep, backedUp, clone, problems, record, restore, started } from './world.ts';

type Story = (point: CrashPoint) => Promise<{ world: World; problems: string[] }>;

const well = (world: World) => async () => (await problems(world)).length === 0;

const settled = async (world: World): Promise<string[]> => {
  await world.until(well(world), 600);
  // The crash may have come at the very end: what it held has to run out.
  await world.settle(150);
  await world.until(well(world), 120);
  return problems(world);
};

const inPlace: Story = async (point) => {
  const world = await started({ crash: { function: 'restore', point } });
  await backedUp(world, 1_000, 1_500);
  await restore(world);
  await world.until(async () => (await record(world)).incarnation.number > 1, 300);
  const found = await settled(world);
  const { incarnation, work } = await record(world);
  if (incarnation.number !== 2) found.push(`incarnation ${incarnation.number}`);
  if (work !== undefined) found.push('its worker is still there');
  return { world, problems: found };
};

const sleepAndWake: Story = async (point) => {
  const world = await started({ crash: { function: 'restore', point } });
  await ask(world, 'hibernate');
  await world.until(asleep(world), 300);
  const slept = (await record(world)).status.phase === 'hibernated';
  await ask(world, 'wake');
  const found = await settled(world);
  return { world, problems: slept ? found : [...found, 'it did not go to sleep'] };
};

const cloned: Story = async (point) => {
  const world = await started({ crash: { function: 'create', point: { ...point, call: -1 } } });
  await backedUp(world, 1_000);
  world.ports.arm(point);
  await clone(world);
  const done = async () => {
    const copy = await world.store.get('copy');
    return copy?.status.phase === 'available' && copy.operation === undefined && copy.lease === undefined;
  };
  await world.until(done, 600);
  return { world, problems: (await done()) ? await problems(world) : ['the clone is not there'] };
};

describe.each([
  ['a restore in place', inPlace],
  ['a hibernation and its end', sleepAndWake],
  ['a clone', cloned],
] as const)('a function that dies in %s', (_name, story) => {
  test('before or after any of its calls ends as if it had not', async () => {
    const plain = await story({ call: -1, when: 'before' });
    expect(plain.problems).toEqual([]);
    const reads = ['get', 'describe', 'status', 'list', 'listInstances', 'appendEvent', 'sickTenants'];
    const calls = plain.world.ports.calls.flatMap(({ method }, index) =>
      reads.includes(method) ? [] : [{ method, call: index + 1 }],
    );
    // Waiting is the same call over and over: once in a while is enough.
    const points = calls.filter(
      ({ method }, index) => calls.findIndex((other) => other.method === method) === index || index % 6 === 0,
    );
    expect(points.length).toBeGreaterThan(8);
    const failures: string[] = [];
    for (const { method, call } of points) {
      for (const when of ['before', 'after'] as const) {
        const { problems: found } = await story({ call, when });
        if (found.length > 0) failures.push(`${when} ${method} (${call}): ${found.join('; ')}`);
      }
    }
    expect(failures).toEqual([]);
  }, 180_000);
});
