import { describe, expect, test } from 'vitest';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { problemsOf, type World } from '../../fakes/sim/world.ts';
import { backedUp } from '../restore/world.ts';
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

  test('beside a survivor no disk is waited for: which ones were not compared is said before anything is done', async () => {
    for (const volume of ['ebs', 'ephemeral'] as const) {
      const world = await started({}, { volume });
      const lost = world.ecs
        .alive('acme')
        .slice(0, 2)
        .map(({ memberName }) => memberName);
      killTwo(world);
      await world.settle(1);
      await world.until(healed(world), 120);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const story = (await told(world)).join('\n');
      const said = story.indexOf('may hold that round; nobody waits for a copy');
      if (volume === 'ephemeral') expect(said).toBe(-1);
      else {
        for (const name of lost) expect(story.slice(said - 80, said)).toContain(name);
        expect(story.indexOf('Every old task is stopped')).toBeGreaterThan(said);
      }
    }
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

  test('without a survivor and without a backup nothing is started, and it says why', async () => {
    const world = await started();
    for (const { backupId } of await world.store.listBackups('acme')) {
      await world.store.removeBackup('acme', backupId);
    }
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

  describe('and nobody is left', () => {
    const killAll = (world: World): void => {
      for (const task of world.ecs.alive('acme')) world.ecs.end(task, 'Region on fire');
    };

    test('with a backup: a worker prepares it, the loss is told before, and a new incarnation begins', async () => {
      const world = await started();
      await backedUp(world, 1_000, 1_500);
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 120);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const tenant = await record(world);
      expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
      expect(tenant.work).toBeUndefined();
      const story = (await told(world)).join('\n');
      const order = [
        'Best source is backup',
        'is lost.',
        'Worker',
        'Prepared: revision 1500',
        'incarnation 2.',
      ];
      const places = order.map((what) => story.indexOf(what));
      expect(places).toEqual([...places].sort((a, b) => a - b));
      expect(places[0]).toBeGreaterThan(0);
    });

    test('workers that fail for a passing reason are tried for as long as it takes, ever more slowly', async () => {
      const world = await started();
      await backedUp(world, 1_000);
      const problem = 'S3 does not answer';
      for (let tries = 0; tries < 6; tries += 1) {
        world.members.bucket.failures.push({ state: 'failed', code: 'passing', problem });
      }
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 600);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const again = (await told(world)).filter((line) => line.includes('tries again'));
      expect(again).toHaveLength(6);
      expect((await told(world)).join('\n')).toContain('Prepared: revision 1000');
    });

    test('a cluster of one member comes back the same way', async () => {
      const world = await started({}, { members: 1 });
      await backedUp(world, 1_000);
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 120);
      expect(await problemsOf(world, 'acme')).toEqual([]);
    });

    test('under policy approve: nothing is started before a person agrees', async () => {
      const world = await started({}, { recovery: 'approve' });
      await backedUp(world, 1_000);
      killAll(world);
      await world.settle(600);
      expect(world.ecs.tasks.size).toBe(3);
      const waiting = await record(world);
      expect(waiting.remediation?.reason).toContain('Best source is backup');
      await updateTenant(world, waiting, (tenant) => ({
        ...tenant,
        remediation: { ...tenant.remediation!, approved: true },
      }));
      await world.dispatcher.look('acme', 'remediate');
      await world.until(healed(world), 120);
      expect(await problemsOf(world, 'acme')).toEqual([]);
    });

    test('a damaged backup is marked, and an older one is taken', async () => {
      const world = await started();
      await backedUp(world, 900);
      await world.settle(60);
      const damaged = await backedUp(world, 1_000);
      const problem = 'its sha256 is another';
      world.members.bucket.failures.push({ state: 'failed', code: 'damaged', problem, key: damaged.key });
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 300);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const backups = await world.store.listBackups('acme');
      expect(backups.find(({ backupId }) => backupId === damaged.backupId)?.damaged).toBeDefined();
      expect((await told(world)).join('\n')).toContain('Prepared: revision 900');
    });

    test('a backup whose object is gone is passed over', async () => {
      const world = await started();
      await backedUp(world, 900);
      await world.settle(60);
      const gone = await backedUp(world, 1_000);
      world.members.bucket.objects.delete(gone.key);
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 300);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const story = (await told(world)).join('\n');
      expect(story).not.toContain(`Best source is backup ${gone.backupId}`);
      expect(story).toContain('Prepared: revision 900');
    });

    test('a damaged segment is marked, and the recovery goes up to it, having said so before', async () => {
      const world = await started();
      const full = await backedUp(world, 1_000, 1_500);
      const { bucket } = world.members;
      const key = bucket.segmentBelow('cell-1/acme/1/delta/');
      bucket.failures.push({ state: 'failed', code: 'damaged', problem: 'it is no frame', key });
      killAll(world);
      await world.settle(1);
      await world.until(healed(world), 300);
      expect(await problemsOf(world, 'acme')).toEqual([]);
      const [marked] = (await world.store.listBackups('acme')).filter(
        ({ backupId }) => backupId === full.backupId,
      );
      expect(marked!.damagedSegments).toMatchObject([{ key }]);
      expect(marked!.damaged).toBeUndefined();
      const story = (await told(world)).join('\n');
      expect(story.indexOf('up to revision 1000')).toBeGreaterThan(story.indexOf('is damaged'));
      expect(story.indexOf('Prepared: revision 1000')).toBeGreaterThan(story.indexOf('up to revision 1000'));
    });
  });
});
