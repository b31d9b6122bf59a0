import { beforeEach, describe, expect, test } from 'vitest';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };
let world: World;

beforeEach(async () => {
  world = new World();
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  await world.settle(90);
});

const first = () => world.ecs.alive('acme')[0]!;
const record = async () => (await world.store.get('acme'))!;
const seen = async () => {
  const member = (await record()).members[first().memberName]!;
  return 'seen' in member ? member.seen : undefined;
};

describe('report', () => {
  test('that changes nothing writes nothing and sends nothing', async () => {
    const before = (await record()).recordVersion;
    const sent = world.messagesSent;
    expect(await world.members.report(first().memberName)).toEqual({ leave: false });
    expect((await record()).recordVersion).toBe(before);
    expect(world.messagesSent).toBe(sent);
  });

  test('of a sick etcd is written and looked at', async () => {
    const sent = world.messagesSent;
    world.members.setState(first().memberName, 'backing-off');
    await world.members.report(first().memberName);
    expect(await seen()).toMatchObject({ healthy: false, problem: 'etcd is backing-off' });
    expect(world.messagesSent).toBe(sent + 1);
    await world.settle(1);
    expect((await record()).status.phase).toBe('degraded');
    world.members.setState(first().memberName, 'ready');
    await world.members.report(first().memberName);
    await world.settle(1);
    expect((await record()).status.phase).toBe('available');
  });

  const self = (change: Partial<NonNullable<NannyStatus['self']>>) => (status: NannyStatus) => ({
    ...status,
    ...(status.self && { self: { ...status.self, ...change } }),
  });
  const slow = (fsyncP99Ms: number, applyLag = 0) => ({ latency: { fsyncP99Ms, applyLag } });
  const alarm = (status: NannyStatus) => ({
    ...status,
    alarms: [{ etcdId: status.self!.etcdId, alarm: 'NOSPACE' as const }],
  });
  test.each<[string, (status: NannyStatus) => NannyStatus, number]>([
    ['an alarm', alarm, 1],
    ['a database at 86 % of its quota', self({ dbSize: 86e6, dbSizeQuota: 100e6 }), 1],
    ['a database at 84 % of its quota', self({ dbSize: 84e6, dbSizeQuota: 100e6 }), 0],
    ['a disk that is nearly full', (status) => ({ ...status, disk: { totalBytes: 100, freeBytes: 14 } }), 1],
    ['a disk with room', (status) => ({ ...status, disk: { totalBytes: 100, freeBytes: 16 } }), 0],
    ['reads that fail', (status) => ({ ...status, readProblem: 'timed out' }), 1],
    ['a slow disk', (status) => ({ ...status, ...slow(150) }), 1],
    ['a member that falls behind', (status) => ({ ...status, ...slow(1, 6_000) }), 1],
    ['a disk as it should be', (status) => ({ ...status, ...slow(20) }), 0],
    ['lost data', (status) => ({ ...status, etcd: { ...status.etcd, state: 'data-lost' } }), 1],
  ])('of %s, though nothing else of the record differs', async (_name, alter, looks) => {
    const sent = world.messagesSent;
    world.members.alter = alter;
    await world.members.report(first().memberName);
    expect(world.messagesSent).toBe(sent + looks);
  });

  test('of an etcd that fell and is back already is told on the timeline, once', async () => {
    const { memberName } = first();
    const told = async () =>
      (await world.store.listEvents('acme', { limit: 100 })).items.filter(
        ({ member, message }) => member === memberName && message.includes('SIGKILL'),
      );
    world.members.fall(memberName);
    await world.members.report(memberName);
    await world.members.report(memberName);
    await world.settle(1);
    await world.look('acme', 'sweep');
    await world.members.report(memberName);
    expect((await told()).map(({ kind, message }) => ({ kind, message }))).toEqual([
      {
        kind: 'seen',
        message: `${memberName}: etcd was ended by SIGKILL; its nanny starts it again on the same disk.`,
      },
    ]);
    await world.settle(1);
    world.members.fall(memberName);
    await world.members.report(memberName);
    expect(await told()).toHaveLength(2);
    expect((await record()).status.phase).toBe('available');
  });

  test('names an earlier fall as the cause of what follows from it only', async () => {
    const { memberName } = first();
    const problem = async (state: 'backing-off' | 'not-ready') => {
      world.members.setState(memberName, state);
      await world.members.report(memberName);
      return (await seen())?.problem;
    };
    world.members.fall(memberName);
    expect(await problem('backing-off')).toBe('etcd is backing-off: etcd was ended by SIGKILL');
    const { recordVersion } = await record();
    await world.look('acme', 'sweep');
    await world.members.report(memberName);
    expect((await seen())?.problem).toBe('etcd is backing-off: etcd was ended by SIGKILL');
    expect((await record()).recordVersion).toBe(recordVersion + 1);
    expect(await problem('not-ready')).toBe('etcd is not-ready');
  });

  test('of falls while etcd is sick anyway tells no more than its condition does', async () => {
    const { memberName } = first();
    world.members.fall(memberName);
    world.members.setState(memberName, 'backing-off');
    for (let fall = 0; fall < 5; fall += 1) {
      await world.members.report(memberName);
      await world.settle(1);
      world.members.fall(memberName);
    }
    const { items } = await world.store.listEvents('acme', { limit: 100 });
    expect(items.filter(({ message }) => message.includes('its nanny starts it again'))).toHaveLength(1);
    expect(items.some(({ message }) => message.startsWith('AllMembersHealthy is False'))).toBe(true);
  });

  test('about a member that its peers cannot reach is looked at though the reporter is well', async () => {
    const [a, b] = world.ecs.alive('acme');
    world.members.cut.add(b!.taskArn);
    const sent = world.messagesSent;
    await world.members.report(a!.memberName);
    expect(world.messagesSent).toBe(sent + 1);
    await world.settle(1);
    const tenant = await record();
    expect(tenant.status.phase).toBe('degraded');
    expect(tenant.status.conditions.find(({ type }) => type === 'AllMembersHealthy')?.message).toContain(
      b!.memberName,
    );
  });

  test('that was long under way does not take the place of what has been seen since', async () => {
    const task = first();
    world.members.setState(task.memberName, 'starting');
    const late = await world.members.status({ tenant: await record(), ip: task.ip });
    await world.settle(1);
    world.members.setState(task.memberName, 'ready');
    await world.members.report(task.memberName);
    world.members.setState(task.memberName, 'backing-off');
    await world.members.report(task.memberName);
    await world.settle(1);
    world.members.setState(task.memberName, 'ready');
    await world.members.report(task.memberName);
    const well = await seen();
    await world.callJoin(
      'report',
      { tenantId: 'acme', memberName: task.memberName, status: late },
      { session: task.taskArn.split('/').at(-1)!, sourceIp: task.ip },
    );
    expect(await seen()).toEqual(well);
    expect(well).toMatchObject({ healthy: true });
  });

  test('of one member in the name of another is refused', async () => {
    const [a, b] = world.ecs.alive('acme');
    const status = await world.members.status({ tenant: await record(), ip: b!.ip });
    const answer = await world.callJoin(
      'report',
      { tenantId: 'acme', memberName: a!.memberName, status },
      { session: a!.taskArn.split('/').at(-1)!, sourceIp: a!.ip },
    );
    expect(answer).toMatchObject({ status: 403, body: { code: 'not-this-task' } });
  });

  test('tells a member that is not on record to leave', async () => {
    const task = first();
    const status = await world.members.status({ tenant: await record(), ip: task.ip });
    const tenant = await record();
    const { [task.memberName]: _gone, ...members } = tenant.members;
    await world.store.save(
      { ...tenant, members, recordVersion: tenant.recordVersion + 1 },
      tenant.recordVersion,
    );
    const answer = await world.callJoin(
      'report',
      { tenantId: 'acme', memberName: task.memberName, status },
      { session: task.taskArn.split('/').at(-1)!, sourceIp: task.ip },
    );
    expect(answer.body).toMatchObject({ leave: true });
  });
});

describe('renew', () => {
  const renew = (over: { session?: string; memberName?: string } = {}) =>
    world.callJoin(
      'renew',
      { tenantId: 'acme', memberName: over.memberName ?? first().memberName, csrs },
      { session: over.session ?? first().taskArn.split('/').at(-1)!, sourceIp: first().ip },
    );

  test('signs new leaves for a member', async () => {
    const { caBundle } = (await world.store.get('acme'))!.pki!;
    expect(await renew()).toMatchObject({ status: 200, body: { peer: 'leaf by CA 1 of acme', caBundle } });
  });

  test('refuses other tasks and members that are not on record', async () => {
    expect(await renew({ session: 'other' })).toMatchObject({ status: 403 });
    expect(await renew({ memberName: 'mnobody00' })).toMatchObject({ status: 403 });
  });
});
