import { describe, expect, test } from 'vitest';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { noteRetirements, retirementsIn } from '../../../lambdas/sweep/retirement.ts';
import { problemsOf, simCell, type World } from '../../fakes/sim/world.ts';
import { healed, record, started, told } from './world.ts';

const MiB = 1024 * 1024;
const noted = (world: World) => world.members.maintenance.map((line) => line.replace(/ m\w{8}/, ''));

describe('no room', () => {
  test('NOSPACE: compacted, defragmented with the leader last, disarmed', async () => {
    const world = await started({}, { quotaMiB: 100 });
    let alarm = true;
    world.members.alter = (status): NannyStatus => {
      if (status.self === undefined) return status;
      const done = world.members.maintenance.some((line) =>
        line.startsWith(`defragment of ${status.memberName}`),
      );
      if (world.members.maintenance.some((line) => line.startsWith('disarm'))) alarm = false;
      const dbSize = (done ? 20 : 100) * MiB;
      const self = { ...status.self, dbSize, dbSizeInUse: 20 * MiB, revision: 5_000 };
      const alarms = alarm ? [{ etcdId: self.etcdId, alarm: 'NOSPACE' as const }] : [];
      return { ...status, self, alarms };
    };
    await world.look('acme', 'sweep');
    await world.until(async () => (await record(world)).remediation === undefined, 120);
    expect(noted(world)).toEqual([
      'compact 4000 of',
      'defragment of',
      'defragment of',
      'defragment of',
      'disarm of',
    ]);
    expect(world.members.maintenance.filter((line) => line.includes('(leader)'))).toEqual([]);
    await world.until(healed(world), 120);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });

  test('NOSPACE that lasts though some history was given up: all of it goes, before the quota is raised', async () => {
    const world = await started({}, { quotaMiB: 100 });
    // What compaction frees is counted as free only with the next write, which NOSPACE refuses: in use stays high.
    const sizes = new Map<string, number>();
    let least = 95;
    world.members.alter = (status): NannyStatus => {
      if (status.self === undefined) return status;
      const size = sizes.get(status.memberName) ?? 100;
      const self = { ...status.self, dbSize: size * MiB, dbSizeInUse: size * MiB, revision: 5_000 };
      const off = world.members.maintenance.some((line) => line.startsWith('disarm'));
      const alarms = off ? [] : [{ etcdId: self.etcdId, alarm: 'NOSPACE' as const }];
      return { ...status, self, alarms };
    };
    const { maintenance } = world.members;
    const push = maintenance.push.bind(maintenance);
    maintenance.push = (line) => {
      if (line.startsWith('compact 5000')) least = 30;
      const [, name] = /^defragment of (\w+)/.exec(line) ?? [];
      if (name !== undefined) sizes.set(name, least);
      return push(line);
    };
    await world.look('acme', 'sweep');
    await world.until(async () => (await record(world)).remediation === undefined, 120);
    expect(noted(world)).toEqual([
      'compact 4000 of',
      ...Array(3).fill('defragment of'),
      'compact 5000 of',
      ...Array(3).fill('defragment of'),
      'disarm of',
    ]);
    expect((await record(world)).spec.quotaMiB).toBe(100);
  });

  test('where one defragmentation shows that nothing is to be won, the others go on without a pause', async () => {
    const world = await started({}, { quotaMiB: 100 });
    world.members.alter = (status): NannyStatus =>
      status.self === undefined
        ? status
        : { ...status, self: { ...status.self, dbSize: 95 * MiB, dbSizeInUse: 95 * MiB, revision: 5_000 } };
    await world.look('acme', 'sweep');
    await world.until(async () => (await record(world)).spec.quotaMiB > 100, 60);
    expect(noted(world)).toEqual(['compact 4000 of', 'defragment of']);
  });

  test('that cannot be made raises the quota as far as the disk can hold it', async () => {
    const world = await started({}, { quotaMiB: 100 });
    world.members.alter = (status): NannyStatus =>
      status.self === undefined
        ? status
        : { ...status, self: { ...status.self, dbSize: 95 * MiB, dbSizeInUse: 95 * MiB, revision: 5_000 } };
    await world.look('acme', 'sweep');
    await world.until(async () => (await record(world)).spec.quotaMiB > 100, 60);
    expect((await record(world)).spec.quotaMiB).toBe(136);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    const made = Object.values((await record(world)).members).map((member) => member.made?.quotaMiB);
    expect(made).toEqual([136, 136, 136]);
  });
});

test('CORRUPT: the member whose hash is not that of the majority is replaced, then the alarm goes', async () => {
  const world = await started();
  const odd = world.ecs.alive('acme')[2]!;
  world.members.hashOf = (name) => (name === odd.memberName ? 666 : 1);
  world.members.alter = (status): NannyStatus => {
    const off = world.members.maintenance.some((line) => line.startsWith('disarm'));
    if (off || status.self === undefined) return status;
    return {
      ...status,
      etcd: { ...status.etcd, state: status.etcd.state === 'ready' ? 'not-ready' : status.etcd.state },
      alarms: [{ etcdId: '0', alarm: 'CORRUPT' }],
    };
  };
  await world.look('acme', 'sweep');
  await world.until(healed(world), 120);
  expect(await problemsOf(world, 'acme')).toEqual([]);
  expect(Object.keys((await record(world)).members)).not.toContain(odd.memberName);
  expect(noted(world)).toEqual(['disarm of']);
});

test('CORRUPT without a majority of one mind: nothing is done, and it says so', async () => {
  const world = await started();
  const names = Object.keys((await record(world)).members);
  world.members.hashOf = (name) => names.indexOf(name);
  world.members.alter = (status) => ({ ...status, alarms: [{ etcdId: '0', alarm: 'CORRUPT' }] });
  await world.look('acme', 'sweep');
  await world.settle(600);
  expect(world.ecs.tasks.size).toBe(3);
  expect(world.members.maintenance).toEqual([]);
  const { items } = await world.store.listOperations('acme', { limit: 1 });
  expect(items[0]?.message).toContain('no majority agrees');
});

test('a gray member is replaced by surge when it has been slow for two minutes and its peers are fine', async () => {
  const world = await started();
  const slow = world.ecs.alive('acme')[0]!;
  world.members.alter = (status) => ({
    ...status,
    latency: { fsyncP99Ms: status.memberName === slow.memberName ? 400 : 4, applyLag: 0 },
  });
  await world.look('acme', 'sweep');
  await world.settle(100);
  expect(Object.keys((await record(world)).members)).toContain(slow.memberName);
  await world.until(async () => !Object.keys((await record(world)).members).includes(slow.memberName), 400);
  await world.until(healed(world), 120);
  expect(await problemsOf(world, 'acme')).toEqual([]);
  expect((await told(world)).join('\n')).toContain('400 ms (p99)');
});

test('a task that no member owns is stopped after ten minutes', async () => {
  const world = await started();
  const cell = { id: 'cell-1' } as never;
  await world.ecs.launch({
    cell,
    tenantId: 'acme',
    memberName: 'mzzzzzzzz',
    zone: 'us-east-1a',
    size: 'small',
    storageGiB: 21,
    volume: 'ephemeral',
  });
  world.ecs.onRunning = () => undefined;
  await world.settle(3600);
  expect(await problemsOf(world, 'acme')).toEqual([]);
});

test('a task that AWS is going to retire is replaced by surge long before', async () => {
  const world = await started();
  const [task] = world.ecs.alive('acme');
  const notice = {
    'detail-type': 'AWS Health Event',
    detail: {
      service: 'ECS',
      eventTypeCode: 'AWS_ECS_TASK_PATCHING_RETIREMENT',
      startTime: 'Thu, 8 Jan 2026 00:00:00 GMT',
      affectedEntities: [{ entityValue: task!.taskArn }],
    },
  };
  const found = retirementsIn({
    Records: [{ body: JSON.stringify(notice) }, { body: '{"tenantId":"acme"}' }],
  });
  expect(found).toEqual([{ taskArns: [task!.taskArn], date: 'Thu, 8 Jan 2026 00:00:00 GMT' }]);
  const deps = {
    cell: simCell,
    store: world.store,
    runtime: world.ecs,
    volumes: world.volumes,
    nannies: world.members,
    dispatcher: world.dispatcher,
    clock: world.clock,
    ids: world.ids,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
  expect(await noteRetirements(deps, found)).toBe(1);
  expect(await noteRetirements(deps, found)).toBe(0);
  await world.settle(1);
  await world.until(healed(world), 120);
  expect(await problemsOf(world, 'acme')).toEqual([]);
  expect(Object.keys((await record(world)).members)).not.toContain(task!.memberName);
});
