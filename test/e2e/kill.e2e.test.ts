import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { taskIdOf } from '../../lambdas/core/members.ts';
import type { TimelineEvent } from '../../lambdas/core/model/operation.ts';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import type { ChaosAction } from '../../local/chaos/actions.ts';
import { type Etcdctl, etcdctl } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { containerOf, isAlive, nannyOf, processes, processesOf } from './support/processes.ts';
import { calm } from './support/recovery-times.ts';
import { until } from './support/until.ts';

const tenantId = 'victim';
/** Of the task definition: a container that fell earlier than this after its start is not started again. */
const restartAttemptPeriodMs = 60_000;

let cloud: TestCloud;
let ctl: Etcdctl;
let load: Load;
let born: TenantDocument;
beforeAll(async () => {
  cloud = await testCloud();
  born = await cloud.create(tenantId);
  ctl = await etcdctl(cloud, tenantId);
  await ctl.run('put', 'before', 'all kills');
  load = await startLoad(cloud, tenantId);
});
afterAll(async () => {
  await load?.stop();
  ctl?.dispose();
  await cloud?.dispose();
});

const hurt = (action: ChaosAction) => cloud.cloud.hurt.act(action);

const shown = async (): Promise<TenantDocument> => {
  const { code, stdout, stderr } = await cloud.cli('get', tenantId, '--json');
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
};

const timeline = async (): Promise<string[]> => {
  const { items } = await cloud.api.call<{ items: TimelineEvent[] }>({
    method: 'GET',
    path: `/v1/tenants/${tenantId}/timeline?limit=100`,
  });
  return items.map(({ message }) => message).reverse();
};

const conditionOf = ({ conditions }: TenantDocument, type: string) =>
  conditions.find((condition) => condition.type === type);

/** What must stay the same as long as nobody replaces a member. */
const identity = ({ clusterId, members }: TenantDocument) => ({
  clusterId,
  members: members.map(({ name, etcdId, ip, taskArn, zone }) => ({ name, etcdId, ip, taskArn, zone })),
});

type MemberIdentities = ReturnType<typeof identity>;

const etcdMembers = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await ctl.run('member', 'list')).split('\n').map((line) => {
      const [id, , name] = line.split(', ');
      return [name!, id!];
    }),
  );

const leaderOf = async (): Promise<MemberDocument> => {
  const statuses: { Endpoint: string; Status: { leader: bigint; header: { member_id: bigint } } }[] =
    JSON.parse((await ctl.run('endpoint', 'status', '-w', 'json')).replace(/":(\d{10,})/g, '":"$1"'));
  const leader = statuses.find(({ Status }) => Status.leader === Status.header.member_id);
  const member = born.members.find(({ clientUrl }) => clientUrl === leader?.Endpoint);
  if (member === undefined) throw new Error('No member says that it leads.');
  return member;
};

/** The member itself answers, with what was written before the kill, from its own disk and after catching up. */
const serves = (member: MemberDocument) =>
  until(`${member.name} to serve`, async () => {
    const read = await ctl.run('get', 'before', '--print-value-only', `--endpoints=${member.clientUrl}`);
    return read === 'all kills';
  });

/** Nothing has failed so far, the writes go on, and none of them waits for what comes next. */
const noWriteFails = async () => {
  await load.goesOn();
  await load.settles();
  expect(load.figures().failed).toBe(0);
};

const available = () =>
  until('the tenant to be available with all members healthy', async () => {
    const tenant = await shown();
    return tenant.phase === 'available' && tenant.members.every(({ healthy }) => healthy) && tenant;
  });

const containerHasRun = (member: MemberDocument, ms: number) =>
  until(
    `the container of ${member.name} to have run ${ms / 1000} s`,
    async () => {
      const { startedAt } = await containerOf(processesOf(cloud.stateDir, member.name).nanny);
      return Date.now() - startedAt > ms;
    },
    { deadlineMs: ms + 60_000 },
  );

describe.each(['a follower', 'the leader'])('kill -9 of the etcd of %s', (which) => {
  let victim: MemberDocument;
  let before: ReturnType<typeof processesOf>;
  beforeAll(async () => {
    const leader = await leaderOf();
    victim = which === 'the leader' ? leader : born.members.find(({ name }) => name !== leader.name)!;
    before = processesOf(cloud.stateDir, victim.name);
    await hurt({ do: 'kill-member', member: victim.name });
  });

  test('the nanny starts it again in place: same nanny, same member, same disk', async () => {
    await serves(victim);
    const after = processesOf(cloud.stateDir, victim.name);
    expect(after.nanny.pid).toBe(before.nanny.pid);
    expect(after.etcd.pid).not.toBe(before.etcd.pid);
    expect(await etcdMembers()).toEqual(
      Object.fromEntries(born.members.map(({ name, etcdId }) => [name, etcdId])),
    );
    expect(identity(await available())).toEqual(identity(born));
  });

  test('no write is lost, and none fails for a client with one retry', async () => {
    await noWriteFails();
  });

  test('the timeline tells of it, however quick it was', async () => {
    await until('a line about the kill', async () =>
      (await timeline()).some((line) => line.includes(victim.name) && line.includes('SIGKILL')),
    );
  });
});

test('an etcd that keeps falling degrades the tenant; once it stays up, the tenant is available again', async () => {
  // A follower: without a leader nobody serves for a moment, and the tenant says so.
  const leader = await leaderOf();
  const victim = born.members.find(({ name }) => name !== leader.name)!;
  const before = (await timeline()).length;
  const degraded = await until('the tenant to be degraded', async () => {
    // Between two starts there is none to kill.
    await hurt({ do: 'kill-member', member: victim.name }).catch(() => undefined);
    // A report is written at once, what follows from it for the tenant a moment later.
    const tenant = await cloud.tenant(tenantId);
    const sick = tenant.members.some(({ name, healthy }) => name === victim.name && !healthy);
    return tenant.phase === 'degraded' && sick && tenant.reason?.includes(victim.name) && tenant;
  });
  expect(conditionOf(degraded, 'AllMembersHealthy')).toMatchObject({
    status: 'False',
    reason: 'MemberUnhealthy',
    message: expect.stringContaining(`${victim.name}: etcd is`),
  });
  expect(conditionOf(degraded, 'Ready')).toMatchObject({ status: 'True' });

  const recovered = await available();
  expect(conditionOf(recovered, 'AllMembersHealthy')).toMatchObject({ status: 'True' });
  expect(identity(recovered)).toEqual(identity(born));
  const lines = (await timeline()).slice(before);
  const order = [
    /^AllMembersHealthy is False/,
    /^Phase available → degraded/,
    /^AllMembersHealthy is True/,
    /^Phase degraded → available/,
  ].map((line) => lines.findIndex((text) => line.test(text)));
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  await serves(victim);
});

test('kill -9 of a nanny: its whole container dies, ECS starts it again as the same member on the same disk', async () => {
  const victim = born.members[0]!;
  await containerHasRun(victim, restartAttemptPeriodMs);
  const before = processesOf(cloud.stateDir, victim.name);
  await hurt({ do: 'kill-nanny', member: victim.name });
  const after = await until('a new nanny and its etcd', () => {
    const now = processesOf(cloud.stateDir, victim.name);
    return now.nanny.pid !== before.nanny.pid && now;
  });
  expect(processes().filter(({ group }) => group === before.nanny.pid)).toEqual([]);
  expect(after.nanny.environment.ECS_CONTAINER_METADATA_URI_V4).toBe(
    before.nanny.environment.ECS_CONTAINER_METADATA_URI_V4,
  );
  await serves(victim);
  expect(await containerOf(after.nanny)).toMatchObject({ restartCount: 1 });
  await until('the timeline to tell of it', async () =>
    (await timeline()).includes(`${victim.name}: its nanny was started again; etcd goes on with its data.`),
  );
  expect(await etcdMembers()).toEqual(
    Object.fromEntries(born.members.map(({ name, etcdId }) => [name, etcdId])),
  );
  expect(identity(await available())).toEqual(identity(born));
  await noWriteFails();
});

test('kill -9 of a nanny while nobody answers join: etcd starts all the same, from nanny.json', async () => {
  const victim = born.members[1]!;
  await containerHasRun(victim, restartAttemptPeriodMs);
  const { faults } = cloud.cloud;
  const denied = () => faults.rules().map(({ struck }) => struck);
  for (const operation of ['POST /join', 'POST /report'])
    faults.add({ match: { service: 'execute-api', operation }, action: { type: 'deny' } });
  const { nanny } = processesOf(cloud.stateDir, victim.name);
  await hurt({ do: 'kill-nanny', member: victim.name });
  await until('a new nanny', () => processesOf(cloud.stateDir, victim.name).nanny.pid !== nanny.pid);
  await serves(victim);
  await until('its calls of join to have been denied', () => denied()[0]! > 0);
  expect(nannyLog(victim)).toContain('starting without asking the control plane');
  await noWriteFails();
  faults.clear();
  expect(identity(await available())).toEqual(identity(born));
  await noWriteFails();
});

test('a nanny that falls again before its container ran 60 s takes its task along; everybody is told, another member takes its place', async () => {
  const victim = born.members[1]!;
  const before = processesOf(cloud.stateDir, victim.name);
  const told = (await timeline()).length;
  const killed: number[] = [];

  const degraded = await until('the tenant to be degraded by a stopped task', async () => {
    // On a slow machine it may have run 60 s by now and come back once more: then that one is young.
    const nanny = nannyOf(cloud.stateDir, victim.name);
    if (nanny !== undefined && !killed.includes(nanny.pid)) {
      await hurt({ do: 'kill-nanny', member: victim.name });
      killed.push(nanny.pid);
    }
    const tenant = await cloud.tenant(tenantId);
    return tenant.phase === 'degraded' && tenant.reason?.includes('task has stopped') && tenant;
  });
  expect(isAlive(before.etcd.pid)).toBe(false);
  const said = `${victim.name}: its task has stopped (Essential container in task exited)`;
  expect(degraded.reason).toBe(said);
  expect(conditionOf(degraded, 'AllMembersHealthy')).toMatchObject({ status: 'False', message: said });
  expect(conditionOf(degraded, 'QuorumSafe')).toMatchObject({ status: 'False' });
  expect(conditionOf(degraded, 'Ready')).toMatchObject({
    status: 'True',
    message: '2 of 3 members serve.',
  });
  expect(degraded.members.find(({ name }) => name === victim.name)).toMatchObject({
    healthy: false,
    isLeader: false,
  });

  const repaired = await calm(cloud, tenantId);
  expect(repaired.clusterId).toBe(born.clusterId);
  const others = ({ members }: MemberIdentities) => members.filter(({ name }) => name !== victim.name);
  const stayed = others(identity(born));
  expect(identity(repaired).members).toHaveLength(born.members.length);
  expect(identity(repaired).members).toEqual(expect.arrayContaining(stayed));
  expect(others(identity(repaired))).toHaveLength(born.members.length);
  expect(Object.keys(await etcdMembers()).sort()).toEqual(repaired.members.map(({ name }) => name).sort());
  const lines = (await timeline()).slice(told);
  const order = [
    // Between the end of its processes and what ECS says of its task a look may find that nobody reaches it.
    `AllMembersHealthy is False (MemberUnhealthy): ${victim.name}: `,
    'Phase available → degraded.',
    `Remediation begins: ${said}`,
    `${victim.name} leaves: its task has stopped`,
    'Well again: 3 of 3 members are healthy.',
  ].map((line) => lines.findIndex((text) => text.startsWith(line)));
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((x, y) => x - y));

  await noWriteFails();
  await ctl.run('put', 'after', 'all kills');
  expect(await ctl.run('get', 'after', '--print-value-only')).toBe('all kills');
});

test('through all of it no acknowledged write was lost, and none failed for a client with one retry', () =>
  expectNothingLost(load));

const nannyLog = (member: MemberDocument): string =>
  readFileSync(join(cloud.stateDir, 'logs', 'tasks', `${taskIdOf(member.taskArn!)}.log`), 'utf8');
