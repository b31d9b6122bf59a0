import { describe, expect, test } from 'vitest';
import type { CrashPoint } from '../../fakes/sim/crash.ts';
import { problemsOf, type World, type WorldOptions } from '../../fakes/sim/world.ts';
import { created } from './support.ts';

type Change = (world: World) => Promise<unknown>;

const replaceOne: Change = async (world) => {
  const [name] = Object.keys((await world.store.get('acme'))!.members);
  return world.changeSpec('acme', 'replace', {}, { replaceRequests: { [name!]: 'somebody asked' } });
};
const scaleTo =
  (members: 1 | 3 | 5): Change =>
  (world) =>
    world.changeSpec('acme', 'scale', { members });

const table: [string, 1 | 3 | 5, Change][] = [
  ['replacing a member', 3, replaceOne],
  ['growing from 3 to 5', 3, scaleTo(5)],
  ['shrinking from 5 to 1', 5, scaleTo(1)],
];

async function run(options: WorldOptions, members: 1 | 3 | 5, change: Change): Promise<World> {
  const world = await created(options, { members });
  await change(world);
  for (let rounds = 0; rounds < 60 && (await problemsOf(world, 'acme')).length > 0; rounds++) {
    await world.settle(15);
  }
  await world.settle(130);
  return world;
}

const reads = ['get', 'getOperation', 'listOperations', 'status', 'describe', 'list', 'listInstances'];

describe('a crash of the scale function at any of its calls', () => {
  test.each(table)(
    'while %s leaves the cluster as wanted, and nothing over',
    async (_name, members, change) => {
      const never: CrashPoint = { call: -1, when: 'before' };
      const plain = await run({ crash: { function: 'scale', point: never } }, members, change);
      expect(await problemsOf(plain, 'acme')).toEqual([]);
      const { calls } = plain.ports;
      expect(calls.length).toBeGreaterThan(20);
      const tasks = plain.ecs.tasks.size;
      const failures: string[] = [];
      // Dying around a read is dying after the write before it; and a stretch of the same writes is one case.
      const writes = calls.flatMap((call, index) =>
        reads.includes(call.method) ? [] : [{ ...call, index }],
      );
      const seen = new Set<string>();
      for (const [nth, { index, ...call }] of writes.entries()) {
        const key = writes
          .slice(Math.max(0, nth - 2), nth + 1)
          .map(({ port, method }) => `${port}.${method}`)
          .join(' ');
        if (seen.has(key)) continue;
        seen.add(key);
        for (const when of ['before', 'after'] as const) {
          const point = { call: index + 1, when };
          const world = await run({ crash: { function: 'scale', point } }, members, change);
          const problems = await problemsOf(world, 'acme');
          if (!world.ports.crashed) problems.push('it did not crash');
          if (world.ecs.tasks.size !== tasks) problems.push(`${world.ecs.tasks.size} tasks, not ${tasks}`);
          if (problems.length > 0)
            failures.push(`${when} ${call.port}.${call.method} (${index + 1}): ${problems.join('; ')}`);
        }
      }

      expect(failures).toEqual([]);
    },
  );
});
