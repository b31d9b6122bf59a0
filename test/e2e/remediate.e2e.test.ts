import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import type { EtcdTruth } from './support/etcd-truth.ts';
import { type Load, startLoad } from './support/load.ts';
import { look } from './support/look.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { isWell } from './support/operating.ts';
import { processesOf } from './support/processes.ts';
import { calm, type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = 'patient';
const unreachableSeconds = 5;

let cloud: TestCloud;
let load: Load;
let times: RecoveryTimes<'remediate'>;
beforeAll(async () => {
  cloud = await testCloud();
  await cloud.create(tenantId, { unreachableSeconds });
  load = await startLoad(cloud, tenantId);
  times = recoveryTimes(cloud, 'remediate');
});
afterAll(async () => {
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

const pick = async (which: 'leader' | 'follower'): Promise<MemberDocument> => {
  const { members } = await cloud.tenant(tenantId);
  const member = members.find(({ isLeader }) => isLeader === (which === 'leader'));
  if (member === undefined) throw new Error(`There is no ${which}.`);
  return member;
};

const without =
  ({ etcdId }: MemberDocument) =>
  ({ members }: EtcdTruth) =>
    !members.some((member) => member.etcdId === etcdId);

const linesAbout = async (text: string): Promise<string[]> =>
  (await timelineOf(cloud, tenantId)).map(({ message }) => message).filter((line) => line.includes(text));

/** Another one in the same zone, of the same cluster; who stayed is who was there before. */
const expectReplaced = (before: TenantDocument, victim: MemberDocument, after: TenantDocument): void => {
  expect(after.clusterId).toBe(before.clusterId);
  expect(after.members).toHaveLength(before.members.length);
  expect(after.members.map(({ name }) => name)).not.toContain(victim.name);
  const zones = (tenant: TenantDocument) => tenant.members.map(({ zone }) => zone).sort();
  expect(zones(after)).toEqual(zones(before));
  const stayed = before.members.filter(({ name }) => name !== victim.name).map(({ etcdId }) => etcdId);
  expect(after.members.map(({ etcdId }) => etcdId)).toEqual(expect.arrayContaining(stayed));
};

test('etcd killed: its nanny starts it again in place, nobody is replaced', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('follower');
  const { tenant } = await times.measure({
    load,
    scenario: 'etcd killed: restart in place',
    hurt: () => cloud.cloud.hurt.act({ do: 'kill-member', member: victim.name }),
    detects: ({ message }) => message.includes('SIGKILL'),
  });
  expect(tenant.members.map(({ etcdId }) => etcdId)).toEqual(before.members.map(({ etcdId }) => etcdId));
});

test('a WAL that cannot be read: the data counts as lost, the member is replaced', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('follower');
  const { tenant } = await times.measure({
    load,
    scenario: 'WAL corrupt: data lost, member replaced',
    hurt: () => cloud.cloud.hurt.act({ do: 'corrupt', member: victim.name, what: 'wal' }),
    healthy: without(victim),
  });
  expectReplaced(before, victim, tenant);
  expect(await linesAbout(victim.name)).toContainEqual(
    expect.stringContaining('etcd is data-lost: etcd exited with code'),
  );
});

test('the data of one member is gone: it never starts empty, the member is replaced', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('follower');
  const { etcd } = processesOf(cloud.stateDir, victim.name);
  const dataDir = etcd.command.find((word) => word.startsWith('--data-dir='))!.slice('--data-dir='.length);
  const { tenant } = await times.measure({
    load,
    scenario: 'data of one member lost: member replaced',
    hurt: async () => {
      rmSync(dataDir, { recursive: true });
      process.kill(etcd.pid, 'SIGKILL');
    },
    healthy: without(victim),
  });
  expectReplaced(before, victim, tenant);
});

test('a task that stopped is replaced: remove, launch, learner, promote', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('leader');
  const { tenant } = await times.measure({
    load,
    scenario: 'task stopped: member replaced',
    hurt: () => cloud.cloud.hurt.act({ do: 'stop-task', member: victim.name, hard: true }),
    healthy: without(victim),
  });
  expectReplaced(before, victim, tenant);
});

test('a member that only we cannot reach is not touched: it waits for a second source and says so', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('follower');
  const { nanny } = processesOf(cloud.stateDir, victim.name);
  process.kill(nanny.pid, 'SIGSTOP');
  try {
    const unsure = await until('the tenant to say that it is not sure', async () => {
      await look(cloud, tenantId);
      const { conditions } = await cloud.tenant(tenantId);
      const found = conditions.find(({ type }) => type === 'AllMembersHealthy');
      return found?.status === 'Unknown' && found;
    });
    expect(unsure.message).toBe(`${victim.name} cannot be reached; a second source has to confirm it.`);
    // Looked at again after the time at which two sources would have been enough.
    await until('twice the time after which it would be replaced', () => {
      return Date.now() - Date.parse(unsure.since) > 2 * unreachableSeconds * 1_000;
    });
    await look(cloud, tenantId);
    await load.goesOn();
    const meanwhile = await cloud.tenant(tenantId);
    expect(meanwhile).toMatchObject({ phase: 'available', remediation: null });
    expect(meanwhile.members.map(({ etcdId }) => etcdId)).toEqual(before.members.map(({ etcdId }) => etcdId));
  } finally {
    process.kill(nanny.pid, 'SIGCONT');
  }
  await look(cloud, tenantId);
  await until('the tenant to be sure again', async () => {
    return isWell(await cloud.tenant(tenantId));
  });
});

test('a member that neither we nor its peers reach is replaced after unreachableSeconds', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('follower');
  const { tenant } = await times.measure({
    load,
    scenario: 'member cut off (two sources): member replaced',
    settings: `unreachableSeconds ${unreachableSeconds}`,
    hurt: () => cloud.cloud.hurt.act({ do: 'cut', member: victim.name }),
    healthy: without(victim),
  });
  expectReplaced(before, victim, tenant);
  const said = await linesAbout(victim.name);
  expect(said).toContainEqual(expect.stringContaining('neither we nor other members reach it'));
});

test('an etcd that stands still while its nanny lives is replaced, leadership goes by itself', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = await pick('leader');
  const { tenant } = await times.measure({
    load,
    scenario: 'etcd of one member paused: member replaced',
    settings: `unreachableSeconds ${unreachableSeconds}`,
    hurt: () => cloud.cloud.hurt.act({ do: 'pause', member: victim.name }),
    healthy: without(victim),
  });
  expectReplaced(before, victim, tenant);
});

test('through all of it nothing acknowledged was lost, no write failed with one retry, every answer was linearizable', async () => {
  await calm(cloud, tenantId);
  await times.finish();
  await expectNothingLost(load);
});
