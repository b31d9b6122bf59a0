import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { healthyCheckMs } from '../../lambdas/sweep/plan.ts';
import { isTurnToList } from '../../lambdas/sweep/sweep.ts';
import { runTaskAgain } from './support/by-hand.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import type { EtcdTruth } from './support/etcd-truth.ts';
import { type Load, startLoad } from './support/load.ts';
import { look } from './support/look.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { namesOf, operating, zonesOf } from './support/operating.ts';
import { pagesOf } from './support/pages.ts';
import { nannyOf } from './support/processes.ts';
import { earlier, type Records, recordsOf } from './support/record.ts';
import { calm, type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

/** What takes a fleet, or ten minutes of patience, to be seen. */
const steady = idWhoseTurnIs(new Date(Date.now() + 40_000));
/** One member each. With `steady` they are ten: three of them are 30 %. */
const small = Array.from({ length: 9 }, (_, index) => `small-${index}`);
const lied = small.slice(0, 3);
/** Both limits, the grace of an unowned task and the patience with a learner, are ten minutes (`joinedAt`, `unowned`). */
const limitMinutes = 10;

let cloud: TestCloud;
let load: Load;
let records: Records;
let times: RecoveryTimes<'remediate-fleet'>;
const { lines, lose } = operating(() => cloud, steady);
beforeAll(async () => {
  cloud = await testCloud();
  records = recordsOf(cloud);
  times = recoveryTimes(cloud, 'remediate-fleet');
  // A task by hand on a disk of its own needs no more than a task definition.
  await cloud.create(steady, { volume: 'ephemeral' });
  load = await startLoad(cloud, steady);
  await load.goesOn();
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') return printTimelines(cloud, [steady, ...lied]);
});
afterAll(async () => {
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

/** The sweep lists all tasks of a tenant in two minutes of each ten: an id whose turn is then, or right afterwards. */
function idWhoseTurnIs(at: Date): string {
  const left = healthyCheckMs - (at.getTime() % healthyCheckMs);
  const turn = left > 30_000 ? at : new Date(at.getTime() + left);
  for (let count = 0; ; count += 1) {
    const tenantId = `steady-${count}`;
    if (isTurnToList({ tenantId }, turn)) return tenantId;
  }
}

const pick = async (which: 'leader' | 'follower') => {
  const { members } = await cloud.tenant(steady);
  return members.find(({ isLeader }) => isLeader === (which === 'leader'))!;
};

const without =
  (...names: readonly string[]) =>
  ({ members }: EtcdTruth) =>
    !members.some(({ name }) => names.includes(name));

/** Tasks that really run, whatever ECS may say of them. */
const runningTasks = (): string[] =>
  cloud.cloud.chaos
    .tasks()
    .filter(({ stopping }) => !stopping)
    .map(({ taskArn }) => taskArn)
    .sort();

/** Another one in the same zone; who stayed is who was there before. */
function expectReplaced(before: TenantDocument, victim: string, after: TenantDocument): void {
  expect(after.clusterId).toBe(before.clusterId);
  expect(zonesOf(after)).toEqual(zonesOf(before));
  expect(namesOf(after)).not.toContain(victim);
  const stayed = namesOf(before).filter((name) => name !== victim);
  expect(namesOf(after)).toEqual(expect.arrayContaining(stayed));
}

/** Whoever is on the way to a voter, as soon as the record says that it is that far. */
const newcomer = (before: TenantDocument, ...states: readonly string[]): Promise<string> =>
  until(
    `a newcomer that is ${states.join(' or ')}`,
    async () => {
      const { members } = await records.read(steady);
      const found = Object.values(members).find(
        ({ name, state }) => states.includes(state) && !namesOf(before).includes(name),
      );
      return found?.name;
    },
    { everyMs: 20 },
  );

test('a task that no member owns is stopped when its grace is over, and not before', async () => {
  const before = await cloud.tenant(steady);
  const owned = runningTasks();
  await until(`the turn of ${steady}`, () => isTurnToList({ tenantId: steady }, new Date()), {
    deadlineMs: 100_000,
  });
  const stray = 'mstray000';
  const taskArn = await runTaskAgain(cloud, { member: before.members[0]! }, stray);
  // It would go by itself: join knows nobody of that name. One that hangs does not.
  await until('the task to hang', () => cloud.cloud.hurt.act({ do: 'cut', member: stray }), { everyMs: 10 });
  await until('the sweep to have seen it', async () => {
    await look(cloud, steady);
    return (await records.read(steady)).unowned?.[taskArn] !== undefined;
  });
  await look(cloud, steady);
  await load.goesOn(400);
  expect(runningTasks()).toEqual([...owned, taskArn].sort());
  expect((await cloud.tenant(steady)).remediation).toBeNull();
  await times.measure({
    load,
    scenario: 'a task that no member owns: stopped',
    settings: 'from the end of its grace of 10 minutes on',
    hurt: async () => {
      await records.change(steady, (record) => {
        const since = record.unowned?.[taskArn];
        if (since === undefined) return undefined;
        return { ...record, unowned: { [taskArn]: earlier(since, limitMinutes) } };
      });
      await look(cloud, steady);
      await until('it to be stopped', () => !runningTasks().includes(taskArn));
    },
    detects: ({ message }) => message.startsWith('Remediation begins'),
  });
  expect(runningTasks()).toEqual(owned);
  expect(namesOf(await cloud.tenant(steady))).toEqual(namesOf(before));
});

test('a task that AWS is going to retire is replaced by surge, its leadership handed over first', async () => {
  const before = await cloud.tenant(steady);
  const victim = await pick('leader');
  const { tenant, lap } = await times.measure({
    load,
    scenario: 'AWS retires the task of the leader: replaced by surge',
    hurt: () => cloud.cloud.hurt.act({ do: 'retire', member: victim.name }),
    healthy: without(victim.name),
  });
  expect(lap.failures).toEqual([]);
  expectReplaced(before, victim.name, tenant);
  const told = await lines();
  const at = (what: RegExp) => told.findLastIndex((line) => what.test(line));
  expect(at(new RegExp(`Leadership handed over from ${victim.name}`))).toBeGreaterThan(-1);
  // By surge: another one votes before it leaves.
  expect(at(/ votes\.$/)).toBeLessThan(at(new RegExp(`^${victim.name} leaves`)));
});

test.each([
  ['while it is launched', 'a member lost, and its newcomer lost while it is launched', ['launching']],
  ['as a learner', 'a member lost, and its newcomer lost as a learner', ['learner']],
] as const)(
  'the newcomer of a replacement is lost too, %s: another one comes',
  async (_when, scenario, states) => {
    const before = await cloud.tenant(steady);
    const victim = await pick('follower');
    let second = '';
    const { tenant, lap } = await times.measure({
      load,
      scenario,
      hurt: async () => {
        await lose(victim.name);
        second = await newcomer(before, ...states);
        await lose(second);
      },
      healthy: ({ members }) => members.every(({ name }) => ![victim.name, second].includes(name)),
    });
    expect(lap.failures).toEqual([]);
    expectReplaced(before, victim.name, tenant);
    expect(namesOf(tenant)).not.toContain(second);
  },
);

test('a learner that never gets in sync is retired when its time is over, and another one is tried', async () => {
  const before = await cloud.tenant(steady);
  const victim = await pick('follower');
  await lose(victim.name);
  const stuck = await newcomer(before, 'joined', 'learner');
  await cloud.cloud.hurt.act({ do: 'cut', member: stuck });
  const memberOf = async () => (await records.read(steady)).members[stuck];
  await until(`${stuck} to be a learner`, async () => (await memberOf())?.state === 'learner');
  // Two of three voters serve; nobody else comes and nobody else goes, whoever looks.
  await look(cloud, steady);
  await load.goesOn(1_000);
  expect((await memberOf())?.state).toBe('learner');
  const { tenant, lap } = await times.measure({
    load,
    scenario: 'a learner that never gets in sync: retired, another one votes',
    settings: 'from the end of its 10 minutes on',
    hurt: async () => {
      await records.change(steady, (record) => {
        const member = record.members[stuck];
        if (member?.state !== 'learner') return undefined;
        const aged = { ...member, joinedAt: earlier(member.joinedAt, limitMinutes) };
        return { ...record, members: { ...record.members, [stuck]: aged } };
      });
    },
    healthy: without(victim.name, stuck),
  });
  expect(lap.failures).toEqual([]);
  expectReplaced(before, victim.name, tenant);
  expect(await lines()).toContainEqual(
    expect.stringContaining(`${stuck} leaves: ${stuck} was not in sync within ${limitMinutes} minutes`),
  );
});

test('the leader on a slow disk: leadership goes away from it, and it is replaced by surge', async () => {
  const before = await cloud.tenant(steady);
  const victim = await pick('leader');
  const replaced = times.measure({
    load,
    scenario: 'slow disk under the leader: leadership away, replaced by surge',
    settings: 'slow for 120 s before it counts',
    hurt: () => cloud.cloud.hurt.act({ do: 'slow', member: victim.name }),
    detects: ({ message }) => message.startsWith('Remediation begins'),
    healthy: without(victim.name),
    deadlineMs: 240_000,
  });
  const { tenant, lap } = await replaced.finally(() => cloud.cloud.hurt.act({ do: 'heal' }));
  expect(lap.failures).toEqual([]);
  expectReplaced(before, victim.name, tenant);
  const told = await lines();
  const at = (what: RegExp) => told.findLastIndex((line) => what.test(line));
  const begun = at(new RegExp(`Remediation begins: ${victim.name}: its disk takes \\d+ ms`));
  const away = at(new RegExp(`Leadership handed over from ${victim.name}`));
  expect(begun).toBeGreaterThan(-1);
  expect(away).toBeGreaterThan(begun);
  expect(at(/ votes\.$/)).toBeGreaterThan(away);
});

describe('a detector lies: all members of 30 % of the tenants are dead, say ECS and our own calls', () => {
  let liedLoad: Load;
  let before: Record<string, TenantDocument>;
  let tasks: string[];
  let claimed: string[];
  let lost: { name: string; taskArn: string };
  const tenants = async () =>
    Object.fromEntries(
      await Promise.all([steady, ...small].map(async (id) => [id, await cloud.tenant(id)] as const)),
    );
  const nannies = (signal: NodeJS.Signals) => {
    for (const id of lied)
      for (const { name } of before[id]!.members) process.kill(nannyOf(cloud.stateDir, name)!.pid, signal);
  };
  beforeAll(async () => {
    await Promise.all(small.map((id) => cloud.create(id, { members: 1 })));
    liedLoad = await startLoad(cloud, lied[0]!);
    await Promise.all([liedLoad.goesOn(), load.goesOn()]);
    before = await tenants();
    tasks = runningTasks();
    claimed = lied.flatMap((id) => before[id]!.members.map(({ taskArn }) => taskArn!));
    cloud.cloud.chaos.claimStopped(claimed, true);
    nannies('SIGSTOP');
    for (const id of lied) await look(cloud, id);
  });
  afterAll(async () => {
    if (claimed) cloud.cloud.chaos.claimStopped(claimed, false);
    if (before) nannies('SIGCONT');
    await liedLoad?.stop().catch(() => {});
  });

  test('a person is paged for each, and nobody is stopped, launched or taken out', async () => {
    // Their disks are in use: that this contradicts what ECS says is told when it has lasted for a minute (kept-disks.ts).
    const deadlineMs = 2 * 60_000;
    for (const id of lied)
      await until(
        `a person to be paged for ${id}`,
        () => pagesOf(cloud, id).some((text) => text.includes('quorum is lost')),
        { deadlineMs },
      );
    for (const id of lied) await look(cloud, id);
    await Promise.all([liedLoad.goesOn(1_000), load.goesOn(1_000)]);
    expect(runningTasks()).toEqual(tasks);
    const now = await tenants();
    for (const id of [steady, ...small]) {
      const members = (tenant: TenantDocument) => tenant.members.map(({ name, etcdId }) => [name, etcdId]);
      expect(members(now[id]!), id).toEqual(members(before[id]!));
      expect(now[id]!.clusterId).toBe(before[id]!.clusterId);
    }
  });

  test('a storm stops what would take anybody away: even a member that is truly lost stays on record, and a person is paged (S8)', async () => {
    const victim = await pick('follower');
    lost = { name: victim.name, taskArn: victim.taskArn! };
    await lose(victim.name);
    await until('a person to be paged for the storm', () =>
      pagesOf(cloud, steady).some((text) => text.includes('"rule":"S8"')),
    );
    await Promise.all([liedLoad.goesOn(1_000), load.goesOn(1_000)]);
    expect(runningTasks()).toEqual(tasks.filter((taskArn) => taskArn !== lost.taskArn));
    expect(namesOf(await cloud.tenant(steady))).toEqual(namesOf(before[steady]!));
  });

  test('when the detector tells the truth again the storm is over: what was lost is replaced by itself, nobody else', async () => {
    const { tenant } = await times.measure({
      load,
      scenario: 'a member lost in a storm: replaced when the storm is over',
      settings: 'from the detector’s first true word on',
      hurt: async () => {
        cloud.cloud.chaos.claimStopped(claimed, false);
        nannies('SIGCONT');
      },
      detects: ({ message }) => message.startsWith(`${lost.name} leaves`),
      healthy: without(lost.name),
      deadlineMs: 180_000,
    });
    expectReplaced(before[steady]!, lost.name, tenant);
    for (const id of lied) {
      const { members, clusterId } = await calm(cloud, id);
      expect(members.map(({ taskArn }) => taskArn)).toEqual(
        before[id]!.members.map(({ taskArn }) => taskArn),
      );
      expect(clusterId).toBe(before[id]!.clusterId);
    }
  });

  test('nothing that the tenants of whom it lied have acknowledged is lost', () =>
    expectNothingLost(liedLoad));
});

test('nothing acknowledged was lost on the way, and every read fits one order', async () => {
  await times.finish();
  await expectNothingLost(load);
});
