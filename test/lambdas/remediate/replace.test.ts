import { describe, expect, test } from 'vitest';
import { replaceDead } from '../../../lambdas/core/primitives/index.ts';
import { formed, now } from '../../fakes/sim/formed.ts';
import { noCapacity } from '../../fakes/sim/sim-ecs.ts';
import { memberTasks, problemsOf } from '../../fakes/sim/world.ts';
import { healed, record, started, told } from './world.ts';

describe('a member that is lost', () => {
  test('with its task is replaced in the same zone within seconds', async () => {
    const world = await started();
    const lost = world.ecs.alive('acme')[0]!;
    const from = world.clock.now().getTime();
    world.ecs.end(lost, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 120);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    // 5 s of it are etcd's own: it refuses a learner until all members have been connected for so long.
    expect(world.clock.now().getTime() - from).toBeLessThan(9_000);
    const tenant = await record(world);
    expect(Object.keys(tenant.members)).not.toContain(lost.memberName);
    expect(Object.values(tenant.members).map((member) => member.zone)).toContain(lost.zone);
    const { items } = await world.store.listOperations('acme', { limit: 1 });
    expect(items[0]).toMatchObject({ kind: 'remediate', state: 'succeeded', requestedBy: 'etcd-nanny' });
    expect(items[0]?.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['remove-member', 'request-members', 'add-learner', 'promote']),
    );
  });

  test.each(['data-lost', 'removed'] as const)('by its etcd being %s is replaced at once', async (state) => {
    const world = await started();
    const lost = world.ecs.alive('acme')[1]!;
    world.members.setState(lost.memberName, state);
    await world.members.report(lost.memberName);
    await world.settle(1);
    await world.until(healed(world), 30);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(Object.keys((await record(world)).members)).not.toContain(lost.memberName);
  });

  test('is replaced when nobody has reached it for unreachableSeconds, not before', async () => {
    const world = await started({}, { unreachableSeconds: 20 });
    const lost = world.ecs.alive('acme')[0]!;
    world.members.cut.add(lost.taskArn);
    const other = world.ecs.alive('acme')[1]!;
    await world.members.report(other.memberName);
    await world.settle(15);
    expect(Object.keys((await record(world)).members)).toContain(lost.memberName);
    expect((await record(world)).status.phase).toBe('degraded');
    await world.until(async () => (await record(world)).members[lost.memberName]?.state !== 'voting', 40);
    expect((await record(world)).members[lost.memberName]?.state).not.toBe('voting');
    await world.until(healed(world), 60);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });

  test('is left alone when it comes back in time', async () => {
    const world = await started({}, { unreachableSeconds: 40 });
    const lost = world.ecs.alive('acme')[0]!;
    world.members.cut.add(lost.taskArn);
    await world.members.report(world.ecs.alive('acme')[1]!.memberName);
    await world.settle(20);
    world.members.cut.delete(lost.taskArn);
    await world.settle(300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(world.ecs.tasks.size).toBe(3);
  });

  test('is not touched while only we cannot reach it, and that is said once', async () => {
    const world = await started();
    const lost = world.ecs.alive('acme')[0]!;
    const status = world.members.status.bind(world.members);
    world.members.status = async (target) => {
      if (target.ip === lost.ip) throw new Error('timeout');
      return status(target);
    };
    await world.settle(900);
    expect(memberTasks(world)).toHaveLength(3);
    expect(Object.keys((await record(world)).members)).toContain(lost.memberName);
    const said = (await told(world)).filter((message) => message.includes('a second source has to confirm'));
    expect(said).toHaveLength(1);
  });

  test('is not given up while its nanny starts etcd again in place', async () => {
    const world = await started();
    const lost = world.ecs.alive('acme')[0]!;
    world.members.setState(lost.memberName, 'backing-off');
    await world.members.report(lost.memberName);
    await world.settle(60);
    world.members.setState(lost.memberName, 'ready');
    await world.members.report(lost.memberName);
    await world.settle(200);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(world.ecs.tasks.size).toBe(3);
  });

  test('one of five after the other, two at once: redundancy comes back', async () => {
    const world = await started({}, { members: 5 });
    for (const index of [0, 1]) world.ecs.end(world.ecs.alive('acme')[index]!, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 120);
    expect(await problemsOf(world, 'acme')).toEqual([]);
  });

  test('interrupts an operation, which goes on when the cluster is well', async () => {
    const world = await started();
    await world.changeSpec('acme', 'scale', { members: 5 });
    await world.settle(3);
    world.ecs.end(world.ecs.alive('acme')[0]!, 'Host is gone');
    await world.settle(1);
    await world.until(healed(world), 300);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(Object.keys((await record(world)).members)).toHaveLength(5);
  });
});

test('who has just become a voter gets its name before anybody else is asked for: clients find members by name', () => {
  const { tenant, observation } = formed(
    [{ zone: 'a', named: false }, { zone: 'b' }, { zone: 'c', state: 'leaving', named: true }],
    { leader: 1 },
  );
  const decision = replaceDead(tenant, observation, now, undefined, { zone: 'us-east-1c' });
  expect(decision).toMatchObject({ step: { kind: 'register-names', members: ['maaaaaaaa'] } });
});

describe('a zone that is out', () => {
  const zoneOf = (world: Awaited<ReturnType<typeof started>>, out: { is: boolean }): string => {
    const { zone } = world.ecs.alive('acme')[0]!;
    const launch = world.ecs.launch.bind(world.ecs);
    world.ecs.launch = async (request) => {
      if (out.is && request.zone === zone) throw noCapacity();
      return launch(request);
    };
    return zone;
  };
  const zones = async (world: Awaited<ReturnType<typeof started>>) =>
    Object.values((await record(world)).members).map((member) => member.zone);

  test('waits for the hold time, doubles up, and spreads again when it is back', async () => {
    const world = await started({}, { zoneOutageHoldMinutes: 10 });
    const out = { is: true };
    const zone = zoneOf(world, out);
    world.ecs.end(world.ecs.alive('acme')[0]!, 'Zone is gone');
    await world.settle(9 * 60);
    expect(world.ecs.tasks.size).toBe(3);
    await world.until(async () => (await record(world)).status.phase === 'available', 20 * 60);
    const spread = (await record(world)).status.conditions.find(({ type }) => type === 'SpreadOverZones');
    expect(spread?.status).toBe('False');
    expect(await zones(world)).not.toContain(zone);
    await world.settle(600);
    expect(await zones(world)).toHaveLength(3);
    out.is = false;
    await world.until(async () => (await zones(world)).includes(zone), 900);
    await world.until(healed(world), 120);
    if ((await problemsOf(world, 'acme')).length) console.log((await told(world)).slice(-40));
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(new Set(await zones(world)).size).toBe(3);
  }, 20_000);

  test('that is back within the hold time gets its member again', async () => {
    const world = await started();
    const out = { is: true };
    const zone = zoneOf(world, out);
    world.ecs.end(world.ecs.alive('acme')[0]!, 'Zone is gone');
    await world.settle(10 * 60);
    out.is = false;
    await world.until(healed(world), 600);
    expect(await problemsOf(world, 'acme')).toEqual([]);
    expect(await zones(world)).toContain(zone);
  });

  test('does not keep the name and the task of whom it cut off: those go before the next try to launch', () => {
    const reason = 'Capacity is unavailable';
    const backoff = { duty: 'remediate' as const, failures: 4, until: now.toISOString(), reason };
    const remediation = { operationId: 'o', kind: 'remediate' as const, since: now.toISOString(), reason };
    const next = (failed: boolean) => {
      const { tenant, observation } = formed(
        [
          { zone: 'a', state: 'leaving', named: true },
          { zone: 'b' },
          { zone: 'c' },
          { zone: 'a', state: 'requested' },
        ],
        { leader: 1, tenant: { remediation, ...(failed && { backoff }) } },
      );
      const decision = replaceDead(tenant, observation, now, undefined, undefined);
      return decision?.kind === 'step' ? decision.step.kind : decision?.kind;
    };
    expect(next(false)).toBe('launch-members');
    expect(next(true)).toBe('deregister-names');
  });
});
