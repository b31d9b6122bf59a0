import { describe, expect, test } from 'vitest';
import { checkFleet, isStorm } from '../../../lambdas/core/storm.ts';
import { problemsOf, World } from '../../fakes/sim/world.ts';

const now = new Date('2026-01-01T00:10:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
const sick = (...seconds: number[]) =>
  seconds.map((since, index) => ({ tenantId: `t${index}`, since: ago(since) }));

describe('S8: a storm', () => {
  test.each([
    ['more than a fifth within minutes', sick(10, 20, 30), 10, true],
    ['a fifth is not more than a fifth', sick(10, 20), 10, false],
    ['two of a small cell', sick(1, 2), 3, false],
    ['as many, but over half an hour', sick(10, 700, 1400), 10, false],
    ['still there 20 minutes later', sick(1200, 1210, 1220), 10, true],
    ['over after half an hour', sick(1900, 1910, 1920), 10, false],
  ])('%s', (_name, tenants, count, expected) => {
    expect(isStorm(tenants, count, now)).toBe(expected);
  });

  test('a detector that calls a member of 30 % of the tenants dead changes little, stops and pages', async () => {
    const world = new World();
    const ids = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
    for (const id of ids) await world.createTenant(id, { members: 3 });
    await world.until(async () => {
      for (const id of ids) if ((await problemsOf(world, id)).length > 0) return false;
      return true;
    }, 120);
    const lied = ids.slice(0, 3);
    const liars = new Set<string>();
    for (const id of lied) for (const task of world.ecs.alive(id)) liars.add(task.taskArn);
    // Every member of them: our calls fail, ECS says STOPPED.
    const describe = world.ecs.describe.bind(world.ecs);
    world.ecs.describe = async (cell, arns) =>
      (await describe(cell, arns)).map((task) =>
        liars.has(task.taskArn) ? { ...task, lastStatus: 'STOPPED', desiredStatus: 'STOPPED' } : task,
      );
    const status = world.members.status.bind(world.members);
    world.members.status = async (target) => {
      if (lied.includes(target.tenant.tenantId)) throw new Error('timeout');
      return status(target);
    };
    const before = world.ecs.tasks.size;
    for (const id of ids) await world.look(id, 'sweep');
    await world.settle(900);
    expect(world.ecs.tasks.size).toBe(before);
    expect(world.ecs.alive()).toHaveLength(before);
    expect((await world.store.sickTenants('cell-1')).map(({ tenantId }) => tenantId).sort()).toEqual(lied);
    expect(world.members.violations).toEqual([]);
    const tenant = (await world.store.get(lied[0]!))!;
    const pages: unknown[] = [];
    const log = {
      info: () => undefined,
      warn: () => undefined,
      error: (...args: unknown[]) => void pages.push(args),
    };
    const step = { kind: 'remove-member', member: Object.keys(tenant.members)[0]!, reason: 'r' } as const;
    const fleet = { store: world.store, log };
    const at = new Date(Date.parse((await world.store.sickTenants('cell-1'))[0]!.since) + 60_000);
    expect(await checkFleet(fleet, step, tenant, at)).toMatchObject({ allowed: false, rule: 'S8' });
    expect(pages).toHaveLength(1);
  }, 30_000);
});
