import { describe, expect, test } from 'vitest';
import type { CrashPoint } from '../../fakes/sim/crash.ts';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { record, started } from './world.ts';

/** Kills `lost` members of three, all of whose disks are kept, and lets the world settle, with a crash of remediate at one of its calls. */
async function run(lost: number, point: CrashPoint): Promise<World> {
  const world = await started({ crash: { function: 'remediate', point } }, { volume: 'ebs' });
  world.volumes.copyPolls = 2;
  for (const task of world.ecs.alive('acme').slice(0, lost)) world.ecs.end(task, 'Host is gone');
  const well = async () => (await problemsOf(world, 'acme')).length === 0;
  await world.settle(1);
  await world.until(well, 600);
  await world.settle(150);
  // The crash may have come at the very end: what it held has to run out.
  await world.until(well, 120);
  await world.until(async () => (await world.volumes.listKept()).length === 0, 400);
  return world;
}

describe.each([
  ['a replacement', 1, 1],
  ['a recovery', 2, 2],
  ['a recovery from disks', 3, 2],
] as const)('remediate that dies in %s', (_name, lost, incarnation) => {
  test('before or after any of its calls heals all the same, and leaves nothing over', async () => {
    const plain = await run(lost, { call: -1, when: 'before' });
    expect(await problemsOf(plain, 'acme')).toEqual([]);
    const reads = ['get', 'describe', 'status', 'list', 'listInstances', 'appendEvent', 'sickTenants'];
    const calls = plain.ports.calls.flatMap(({ method }, index) =>
      reads.includes(method) ? [] : [{ method, call: index + 1 }],
    );
    // Waiting is the same call over and over: once in a while is enough.
    const points = calls.filter(
      ({ method }, index) => calls.findIndex((other) => other.method === method) === index || index % 6 === 0,
    );
    expect(points.length).toBeGreaterThan(10);
    const failures: string[] = [];
    for (const { method, call } of points) {
      for (const when of ['before', 'after'] as const) {
        const world = await run(lost, { call, when });
        const problems = await problemsOf(world, 'acme');
        const { number } = (await record(world)).incarnation;
        if (number !== incarnation) problems.push(`incarnation ${number}`);
        const left = (await world.volumes.listKept()).length;
        if (left > 0) problems.push(`${left} disks are left`);
        if ((await record(world)).work !== undefined) problems.push('its worker is still there');
        if (problems.length > 0) failures.push(`${when} ${method} (${call}): ${problems.join('; ')}`);
      }
    }
    expect(failures).toEqual([]);
  }, 120_000);
});
