import { describe, expect, test } from 'vitest';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { backedUp, problems, record, restore, started, told } from './world.ts';

const ended = (world: World, operationId: string) => async () => {
  const tenant = await world.store.get('acme');
  const operation = await world.store.getOperation('acme', operationId);
  return operation?.endedAt !== undefined && tenant?.operation === undefined && !tenant?.lease;
};

describe('a restore in place', () => {
  test('is prepared beside the serving cluster, then takes its place, and reports what it did', async () => {
    const world = await started();
    const backup = await backedUp(world, 1_000, 1_500);
    const old = world.ecs.alive('acme');
    let servedWhilePreparing = true;
    world.members.onWork = () => {
      servedWhilePreparing &&= old.every((task) => task.desiredStatus !== 'STOPPED');
    };
    const operationId = await restore(world);
    await world.until(ended(world, operationId), 300);
    await world.settle(5);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(servedWhilePreparing).toBe(true);
    const tenant = await record(world);
    expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
    expect(tenant.work).toBeUndefined();
    for (const task of old) expect(task.lastStatus).toBe('STOPPED');
    expect(await world.store.getOperation('acme', operationId)).toMatchObject({
      kind: 'restore',
      state: 'succeeded',
      report: {
        from: 'acme',
        backupId: backup.backupId,
        revision: 1_500,
        revisionNow: 1_000_001_500,
        keys: 3,
        replayed: 500,
        lost: { revisions: 0 },
        seconds: { total: expect.any(Number) },
      },
    });
    const story = (await told(world)).join('\n');
    const order = [
      'Worker',
      'Prepared: revision 1500',
      'stops serving now',
      'Every old task is stopped',
      'Restored',
    ];
    const places = order.slice(0, 4).map((what) => story.indexOf(what));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
  });

  test('to a revision: that one and no other, with what is lost by number', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    const operationId = await restore(world, { kind: 'revision', revision: 1_200 });
    await world.until(ended(world, operationId), 300);
    await world.settle(5);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect((await world.store.getOperation('acme', operationId))?.report).toMatchObject({ revision: 1_200 });
  });

  test('counts as lost what the members had at the end, not what the record knew when it was asked for', async () => {
    const world = await started();
    await backedUp(world, 1_000);
    const operationId = await restore(world, { kind: 'revision', revision: 1_000 });
    for (const cluster of world.members.clusters.values()) cluster.index = 1_700;
    for (const member of world.members.members.values()) member.applied = 1_700;
    await world.until(ended(world, operationId), 300);
    const { report } = (await world.store.getOperation('acme', operationId))!;
    expect(report?.lost?.revisions).toBe(700);
  });

  test('for the second time to the same state goes beyond what the first one has written', async () => {
    const world = await started();
    const first = await backedUp(world, 1_000);
    for (const expected of [1_000_001_000, 2_000_001_000]) {
      const operationId = await restore(world, { kind: 'revision', revision: first.revision });
      await world.until(ended(world, operationId), 300);
      const operation = await world.store.getOperation('acme', operationId);
      expect(operation?.report?.revisionNow).toBe(expected);
      const tenant = await record(world);
      await world.store.save(
        { ...tenant, recordVersion: tenant.recordVersion + 1, highestRevision: expected + 5 },
        tenant.recordVersion,
      );
    }
  });

  test('of a damaged backup changes nothing, and says so', async () => {
    const world = await started();
    const backup = await backedUp(world, 1_000);
    const old = world.ecs.alive('acme').map((task) => task.taskArn);
    const failure = {
      state: 'failed',
      code: 'damaged',
      problem: 'its checksum differs',
      key: backup.key,
    } as const;
    world.members.bucket.failures.push(failure);
    const operationId = await restore(world);
    await world.until(ended(world, operationId), 300);
    await world.settle(30);
    expect(await problems(world)).toEqual([]);
    expect(world.ecs.alive('acme').map((task) => task.taskArn)).toEqual(old);
    expect((await record(world)).work).toBeUndefined();
    expect(await world.store.getOperation('acme', operationId)).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('its checksum differs; the cluster is as it was'),
    });
  });

  test('whose worker stops at a lower revision than wanted never takes the cluster down', async () => {
    const world = await started();
    await backedUp(world, 1_000, 1_500);
    const operationId = await restore(world, { kind: 'revision', revision: 1_200 });
    world.members.bucket.deltas.clear();
    await world.until(ended(world, operationId), 300);
    expect((await record(world)).incarnation.number).toBe(1);
    expect((await world.store.getOperation('acme', operationId))?.message).toContain(
      'the worker reached revision 1000, not 1200',
    );
  });

  test('survives the loss of its worker, three times at most', async () => {
    for (const losses of [1, 2, 3]) {
      const world = await started();
      await backedUp(world, 1_000);
      let left = losses;
      world.members.onWork = (task, _order, phase) => {
        if (phase === 'replaying' && left-- > 0) world.ecs.end(task, 'Host is gone');
      };
      const operationId = await restore(world);
      await world.until(ended(world, operationId), 600);
      await world.settle(30);
      expect(await problems(world)).toEqual([]);
      const { state } = (await world.store.getOperation('acme', operationId))!;
      expect(state).toBe(losses < 3 ? 'succeeded' : 'failed');
    }
  });

  test('of a cluster that lost its quorum meanwhile goes on: it is to be replaced anyway', async () => {
    const world = await started();
    await backedUp(world, 1_000);
    let killed = false;
    world.members.onWork = () => {
      if (!killed)
        for (const task of world.ecs.alive('acme').slice(0, 2)) world.ecs.end(task, 'Host is gone');
      killed = true;
    };
    const operationId = await restore(world);
    await world.until(ended(world, operationId), 300);
    await world.settle(60);
    expect(await problems(world)).toEqual([]);
    expect((await record(world)).incarnation.number).toBe(2);
  });
});
