import { describe, expect, test } from 'vitest';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { healed, record, started, told } from './world.ts';

const killTwo = (world: World): void => {
  for (const task of world.ecs.alive('acme').slice(0, 2)) world.ecs.end(task, 'Host is gone');
};

describe('quorum lost', () => {
  test('with one survivor: saved, fenced, and a new incarnation from it, without a human', async () => {
    const world = await started();
    const old = world.ecs.alive('acme');
    const { incarnation } = await record(world);
    killTwo(world);
    await world.settle(1);
    await world.until(healed(world), 60);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    const tenant = await record(world);
    expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
    expect(tenant.incarnation.token).not.toBe(incarnation.token);
    for (const task of old) {
      expect(Object.keys(tenant.members)).not.toContain(task.memberName);
      expect(task.lastStatus).toBe('STOPPED');
    }
    const story = (await told(world)).join('\n');
    const order = ['Best source is', 'is saved: revision 9', 'Every old task is stopped', 'incarnation 2.'];
    const places = order.map((what) => story.indexOf(what));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]).toMatchObject({ kind: 'recover', state: 'succeeded' });
    expect([...world.members.restored.values()].map((sources) => sources.size)).toEqual([1]);
  });

  test('under policy approve: says what would be lost, and waits for a person', async () => {
    const world = await started({}, { recovery: 'approve' });
    killTwo(world);
    await world.settle(900);
    const waiting = await record(world);
    expect(waiting.status).toMatchObject({ phase: 'recovering' });
    expect(world.ecs.alive('acme')).toHaveLength(1);
    expect((await told(world)).join('\n')).toContain('Best source is');
    await updateTenant(world, waiting, (tenant) => ({
      ...tenant,
      remediation: { ...tenant.remediation!, approved: true },
    }));
    await world.dispatcher.look('acme', 'remediate');
    await world.until(healed(world), 120);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });

  test('without a survivor nothing is started, and it says why', async () => {
    const world = await started();
    for (const task of world.ecs.alive('acme')) world.ecs.end(task, 'Region on fire');
    await world.settle(300);
    expect(world.ecs.tasks.size).toBe(3);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]?.message).toContain('no member is left that could give a snapshot');
  });

  test('to members that still run as far as ECS knows: never without a person', async () => {
    const world = await started();
    const [a, b] = world.ecs.alive('acme');
    for (const task of [a!, b!]) world.members.cut.add(task.taskArn);
    await world.settle(900);
    expect(world.ecs.tasks.size).toBe(3);
    expect((await told(world)).join('\n')).toContain('a person has to agree');
    for (const task of [a!, b!]) world.members.cut.delete(task.taskArn);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await record(world)).incarnation.number).toBe(1);
  });

  test('an old member that is started by hand is told to leave', async () => {
    const world = await started();
    const [old] = world.ecs.alive('acme');
    killTwo(world);
    await world.settle(1);
    await world.until(healed(world), 60);
    const answer = await world.callJoin(
      'join',
      {
        tenantId: 'acme',
        memberName: old!.memberName,
        csrs: { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' },
        hasData: true,
      },
      { session: old!.taskArn.split('/').at(-1)!, sourceIp: old!.ip },
    );
    expect(answer.body).toMatchObject({ answer: 'leave' });
  });

  test('a member lost during the bootstrap of the new incarnation: it begins again from the same snapshot', async () => {
    const world = await started();
    killTwo(world);
    let killed = false;
    world.members.onBoot = (task) => {
      if (!killed) world.ecs.end(task, 'OutOfMemoryError');
      killed = true;
    };
    await world.settle(1);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await record(world)).incarnation.number).toBe(3);
  });
});
