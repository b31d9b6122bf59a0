import { describe, expect, test } from 'vitest';
import { checkFleet, isStorm } from '../../../lambdas/core/storm.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { memberTasks, problemsOf, World } from '../../fakes/sim/world.ts';

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
    const before = memberTasks(world).length;
    for (const id of ids) await world.look(id, 'sweep');
    await world.settle(900);
    expect(memberTasks(world)).toHaveLength(before);
    expect(memberTasks(world).filter(({ lastStatus }) => lastStatus !== 'STOPPED')).toHaveLength(before);
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
    const ahead = { kind: 'request-members', zones: ['us-east-1a'], insteadOf: step.member } as const;
    expect(await checkFleet(fleet, ahead, tenant, at)).toMatchObject({ allowed: false, rule: 'S8' });
  }, 30_000);
});

describe('S8: tenants of which nobody is left', () => {
  const ids = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
  const well = async (world: World, ...some: string[]): Promise<boolean> => {
    for (const id of some) if ((await problemsOf(world, id)).length > 0) return false;
    return true;
  };

  async function backedUpFleet(): Promise<World> {
    const world = new World();
    for (const id of ids) await world.createTenant(id, { members: 3 });
    await world.until(() => well(world, ...ids), 120);
    await world.until(async () => {
      for (const id of ids) if ((await world.store.listBackups(id)).length === 0) return false;
      return true;
    }, 600);
    return world;
  }

  /** Everything of them runs on; ECS and their nannies say otherwise, until the returned is called. */
  function lie(world: World, lied: readonly string[]): () => void {
    let on = true;
    const liars = new Set(lied.flatMap((id) => world.ecs.alive(id).map((task) => task.taskArn)));
    const describe = world.ecs.describe.bind(world.ecs);
    world.ecs.describe = async (cell, arns) =>
      (await describe(cell, arns)).map((task) =>
        on && liars.has(task.taskArn) ? { ...task, lastStatus: 'STOPPED', desiredStatus: 'STOPPED' } : task,
      );
    const status = world.members.status.bind(world.members);
    world.members.status = async (target) => {
      if (on && lied.includes(target.tenant.tenantId)) throw new Error('timeout');
      return status(target);
    };
    return () => {
      on = false;
    };
  }

  const workersOf = (world: World, id: string) =>
    [...world.ecs.tasks.values()].filter((task) => task.tenantId === id).length - 3;
  const registered = (world: World) =>
    [...world.names.services.values()].reduce((sum, service) => sum + service.instances.size, 0);

  test('ten at once, and all of them live: no worker, nobody fenced; they go on when the detector is right again', async () => {
    const world = await backedUpFleet();
    const alive = () => memberTasks(world).filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    const tasks = alive().length;
    const workers = new Map(ids.map((id) => [id, workersOf(world, id)]));
    const names = registered(world);
    const tellTruth = lie(world, ids);
    for (const id of ids) await world.look(id, 'sweep');
    await world.settle(900);
    for (const id of ids) {
      expect(workersOf(world, id), id).toBe(workers.get(id));
      const tenant = (await world.store.get(id))!;
      expect(tenant.incarnation.number).toBe(1);
      expect(tenant.remediation?.recovery).toMatchObject({ heldInStorm: true });
      const { items } = await world.store.listOperations(id, { limit: 1 });
      expect(items[0]?.message).toContain(`S8: quorum is lost and nobody is left, but 10 of 10 tenants`);
      expect(items[0]?.message).toContain(`nanny approve ${id}`);
    }
    expect(alive()).toHaveLength(tasks);
    expect(registered(world)).toBe(names);
    tellTruth();
    expect(await world.until(() => well(world, ...ids), 600)).toBe(true);
    expect(alive()).toHaveLength(tasks);
  }, 60_000);

  test('one of them that a person has agreed to is made anew, the others wait', async () => {
    const world = await backedUpFleet();
    const [gone, ...rest] = ids as [string, ...string[]];
    lie(world, rest);
    for (const task of world.ecs.alive(gone)) world.ecs.end(task, 'Region on fire');
    for (const id of ids) await world.look(id, 'sweep');
    await world.settle(300);
    const held = (await world.store.get(gone))!;
    expect(held.incarnation.number).toBe(1);
    await updateTenant(world, held, (tenant) => ({
      ...tenant,
      remediation: { ...tenant.remediation!, approved: true },
    }));
    await world.dispatcher.look(gone, 'remediate');
    expect(await world.until(() => well(world, gone), 300)).toBe(true);
    expect((await world.store.get(gone))?.incarnation.number).toBe(2);
    for (const id of rest) expect((await world.store.get(id))?.incarnation.number, id).toBe(1);
  }, 60_000);

  test('one alone is made anew by itself', async () => {
    const world = await backedUpFleet();
    for (const task of world.ecs.alive(ids[0]!)) world.ecs.end(task, 'Region on fire');
    expect(
      await world.until(async () => (await world.store.get(ids[0]!))?.incarnation.number === 2, 300),
    ).toBe(true);
    expect(await world.until(() => well(world, ids[0]!), 300)).toBe(true);
  }, 60_000);
});
