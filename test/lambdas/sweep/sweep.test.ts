import { beforeEach, describe, expect, test } from 'vitest';
import { sweepDue } from '../../../lambdas/sweep/sweep.ts';
import { FakeDispatcher } from '../../fakes/fake-dispatcher.ts';
import { problemsOf, simCell, untilHealthy, World } from '../../fakes/sim/world.ts';

let world: World;

beforeEach(async () => {
  world = new World();
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  await world.settle(90);
});

const record = async () => (await world.store.get('acme'))!;
const condition = async (type: string) =>
  (await record()).status.conditions.find((entry) => entry.type === type);
const events = async () => (await world.store.listEvents('acme', { limit: 100 })).items;
const member = (index: number) => world.ecs.alive('acme')[index]!;

describe('sweep', () => {
  test('of a healthy tenant moves nothing but the time of the next look', async () => {
    await world.settle(120);
    const before = await record();
    const told = (await events()).length;
    await world.look('acme', 'sweep');
    const { recordVersion: _a, nextCheckAt: _b, ...was } = before;
    const { recordVersion: _c, nextCheckAt, ...is } = await record();
    // The change stream goes on: how far it is moves too.
    const { upToDateAt, askedAt } = is.backups!.holder!;
    expect(is).toEqual({
      ...was,
      backups: { ...was.backups, holder: { ...was.backups!.holder, upToDateAt, askedAt } },
    });
    expect(Date.parse(nextCheckAt)).toBeGreaterThan(world.clock.now().getTime());
    expect((await events()).length).toBe(told);
  });

  test('calls a member lost when its task has stopped, and tells it once', async () => {
    const lost = member(0);
    world.ecs.end(lost, 'Host EC2 terminated');
    await world.settle(0.01);
    await world.look('acme', 'sweep');
    const tenant = await record();
    expect(tenant.status).toMatchObject({ phase: 'degraded' });
    expect(tenant.remediation).toMatchObject({ kind: 'remediate' });
    expect((await condition('AllMembersHealthy'))?.message).toContain('Host EC2 terminated');
    expect(await condition('Ready')).toMatchObject({ status: 'True' });
    expect(await condition('QuorumSafe')).toMatchObject({ status: 'False' });
    const told = (await events()).filter((event) => event.message.startsWith('AllMembersHealthy is False'));
    expect(told).toHaveLength(1);
    // The sweep repairs nothing itself: every member stays on record.
    expect(Object.keys(tenant.members)).toContain(lost.memberName);
  });

  test('never calls all members healthy while one of the wanted ones is not there', async () => {
    const { [member(0).memberName]: _gone, ...members } = (await record()).members;
    const before = await record();
    const recordVersion = before.recordVersion + 1;
    await world.store.save({ ...before, members, recordVersion }, before.recordVersion);
    await world.look('acme', 'sweep');
    expect(await condition('AllMembersHealthy')).toMatchObject({
      status: 'False',
      reason: 'MembersMissing',
      message: '2 of 3 members are there, all of them healthy; 1 more on the way.',
    });
  });

  test('counts a tenant among the sick (S8) though a report told of its member before any look did', async () => {
    const lost = member(0);
    const sick = async () => (await world.store.sickTenants('cell-1')).map(({ tenantId }) => tenantId);
    const before = await record();
    const known = before.members[lost.memberName];
    if (known?.state !== 'voting') throw new Error(`${lost.memberName} does not vote`);
    const at = world.clock.now().toISOString();
    const seen = { at, healthy: false, isLeader: false, problem: 'etcd is not-ready', sickSince: at };
    const members = { ...before.members, [known.name]: { ...known, seen } };
    await world.store.save(
      { ...before, members, recordVersion: before.recordVersion + 1 },
      before.recordVersion,
    );
    world.ecs.end(lost, 'Host EC2 terminated');
    await world.settle(0.01);
    await world.look('acme', 'sweep');
    expect(await sick()).toEqual(['acme']);
    await untilHealthy(world, 'acme');
    await world.settle(90);
    expect(await sick()).toEqual([]);
    expect((await record()).sickSince).toBeUndefined();
  });

  test('that meets other sweeps of the tenant comes back once for all of them', async () => {
    const before = world.messagesSent;
    const looks = Array.from({ length: 6 }, () => world.look('acme', 'sweep'));
    await world.settle(0.5);
    await Promise.all(looks);
    expect(world.messagesSent - before).toBe(1);
  });

  test('believes one source only when a second agrees', async () => {
    const [a, b, c] = [member(0), member(1), member(2)];
    const status = world.members.status.bind(world.members);
    world.members.status = async (target) => {
      if (target.ip === a.ip) throw new Error('timeout');
      return status(target);
    };
    await world.look('acme', 'sweep');
    expect(await condition('AllMembersHealthy')).toMatchObject({
      status: 'Unknown',
      reason: 'MembersUnconfirmed',
    });
    expect((await record()).status.phase).toBe('available');
    world.members.cut.add(a.taskArn);
    await world.look('acme', 'sweep');
    expect((await record()).status.phase).toBe('degraded');
    expect((await condition('AllMembersHealthy'))?.message).toContain(a.memberName);
    expect([b, c].every((task) => task.lastStatus === 'RUNNING')).toBe(true);
  });

  test('takes back within seconds what it said of a member that was only away for a moment', async () => {
    const status = world.members.status.bind(world.members);
    const blinking = member(0);
    // As one whose etcd stands still for less than its nanny takes to notice.
    world.members.status = async (target) => {
      const { self, ...seen } = await status(target);
      return target.ip === blinking.ip ? seen : { ...seen, ...(self && { self }) };
    };
    await world.look('acme', 'sweep');
    expect((await record()).status.phase).toBe('degraded');
    world.members.status = status;
    await world.settle(6);
    expect((await record()).status.phase).toBe('available');
    expect((await record()).remediation).toBeUndefined();
  });

  test('is not kept from being heard by looks that meet each other while a member does not answer', async () => {
    const silent = member(0);
    const status = world.members.status.bind(world.members);
    world.members.status = async (target) => {
      if (target.ip !== silent.ip) return status(target);
      await world.clock.sleep(2_000);
      throw new Error('timeout');
    };
    world.members.cut.add(silent.taskArn);
    const looks: Promise<unknown>[] = [];
    for (let count = 0; count < 4; count++) {
      looks.push(world.look('acme', 'sweep'));
      await world.settle(0.9);
      // A report of another member comes in between: the first looks have to come back.
      if (count === 0) {
        const tenant = await record();
        const news = { highestRevision: tenant.highestRevision + 1, recordVersion: tenant.recordVersion + 1 };
        await world.store.save({ ...tenant, ...news }, tenant.recordVersion);
      }
    }
    await world.settle(12);
    await Promise.all(looks);
    expect((await record()).status.phase).not.toBe('available');
  });

  test('says that quorum is lost, and that all is well again', async () => {
    world.members.setState(member(0).memberName, 'backing-off');
    world.members.setState(member(1).memberName, 'not-ready');
    await world.look('acme', 'sweep');
    expect(await condition('Ready')).toMatchObject({ status: 'False', reason: 'QuorumLost' });
    for (const index of [0, 1]) world.members.setState(member(index).memberName, 'ready');
    await world.look('acme', 'sweep');
    expect((await record()).status.phase).toBe('available');
    expect(await condition('Ready')).toMatchObject({ status: 'True' });
  });

  test('tells split brain with the number of its rule', async () => {
    const status = world.members.status.bind(world.members);
    const liar = member(0).ip;
    world.members.status = async (target) => {
      const seen = await status(target);
      return target.ip === liar ? { ...seen, self: { ...seen.self!, clusterId: 'bad' } } : seen;
    };
    await world.look('acme', 'sweep');
    expect(await condition('ClusterIdConsistent')).toMatchObject({ status: 'False', reason: 'SplitBrain' });
    expect((await events()).find((event) => event.rule === 'S9')).toBeDefined();
    expect((await record()).status.phase).toBe('degraded');
  });

  test('sends a tenant that is another function’s duty on to it', async () => {
    await world.createTenant('other');
    expect(await world.look('other', 'sweep')).toBe('forwarded');
    expect(await world.look('nobody', 'sweep')).toBe('gone');
  });

  test('of the due index looks only at tenants of its cell whose time has come', async () => {
    const dispatcher = new FakeDispatcher();
    const due = (cell: string) =>
      sweepDue({ cell: { ...simCell, id: cell }, store: world.store, clock: world.clock, dispatcher });
    const tenant = await record();
    const next = { ...tenant, recordVersion: tenant.recordVersion + 1 };
    await world.store.save({ ...next, nextCheckAt: world.clock.now().toISOString() }, tenant.recordVersion);
    expect(await due('cell-2')).toBe(0);
    expect(await due('cell-1')).toBe(1);
    expect(dispatcher.sent).toEqual([{ tenantId: 'acme', duty: 'sweep', delaySeconds: 0 }]);
    await world.look('acme', 'sweep');
    expect(await due('cell-1')).toBe(0);
  });

  test('brings a create that everybody forgot back to life', async () => {
    const lonely = new World({ messages: { lost: (n) => n <= 6 } });
    await lonely.createTenant('acme');
    await untilHealthy(lonely, 'acme', 900);
    expect(await problemsOf(lonely, 'acme')).toEqual([]);
  });
});
