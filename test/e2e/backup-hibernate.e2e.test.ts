import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { backingUp } from './support/backing-up.ts';
import { type Credentials, issueCredentials } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type LoadReport, startLoadOn } from './support/load.ts';
import { isWell, namesOf, operating } from './support/operating.ts';
import { makeUsers, wrongWithUsers } from './support/tenant-users.ts';
import { printTimelines } from './support/timeline.ts';
import { askAws, type Truth } from './support/truth.ts';
import { until } from './support/until.ts';

const tenantId = 'sleepy';
let cloud: TestCloud;
let aws: Truth;
let credentials: Credentials;
let before: TenantDocument;
let ended: Promise<LoadReport>;
let wakes: () => void;
const awake = new Promise<void>((resolve) => {
  wakes = resolve;
});
const backups = backingUp(() => cloud, tenantId);

const ask = (what: 'hibernate' | 'wake', of = tenantId) =>
  cloud.api.call<{ operation: Operation }>({ method: 'POST', path: `/v1/tenants/${of}/${what}` });

beforeAll(async () => {
  cloud = await testCloud();
  aws = askAws(cloud);
  before = await cloud.create(tenantId, { members: 3 });
  await makeUsers(cloud, tenantId);
  credentials = await issueCredentials(cloud, tenantId);
});
afterAll(async () => {
  wakes();
  await ended?.catch(() => {});
  aws?.close();
  if (cloud) await printTimelines(cloud, [tenantId]);
  await cloud?.dispose();
});

const urls = async () =>
  Object.values((await aws.instances(tenantId)) ?? {}).map((ip) => `https://${ip}:2379`);

test('put to sleep under writes: nothing runs, no name is left, its backups are', async () => {
  const load = await startLoadOn({
    name: tenantId,
    credentials,
    found: urls,
    // Read back from whoever is there after the sleep.
    voters: async () => {
      await awake;
      return (await cloud.tenant(tenantId)).endpoints;
    },
    close: () => {},
  });
  await load.goesOn(600);
  const asked = Date.now();
  const { operation } = await ask('hibernate');
  const { message } = await cloud.ended(operation);
  console.log(`Asleep after ${(Date.now() - asked) / 1_000} s: ${message}`);
  ended = load.stop();
  const asleep = await cloud.tenant(tenantId);
  expect(asleep).toMatchObject({ phase: 'hibernated', members: [], endpoints: [], operation: null });
  expect(await aws.tasks('RUNNING', tenantId)).toEqual([]);
  expect(await aws.instances(tenantId)).toEqual({});
  expect(await aws.services()).toContain(tenantId);
  const { backups: kept } = await backups.list();
  expect(kept[0]).toMatchObject({ reason: 'hibernate', revision: asleep.hibernated!.revision });
});

test('asleep, it says so, takes changes of its spec and starts nobody', async () => {
  const { change } = operating(() => cloud, tenantId);
  await cloud.ended(await change({ members: 1 }));
  expect(await cloud.tenant(tenantId)).toMatchObject({ phase: 'hibernated', spec: { members: 1 } });
  await cloud.ended(await change({ members: 3 }));
  expect((await cloud.cli('backup', tenantId)).code).toBe(1);
  expect(await aws.tasks('RUNNING', tenantId)).toEqual([]);
});

test('woken up: every acknowledged write is there, under the same name, for the same credentials and users', async () => {
  const asked = Date.now();
  const { operation } = await ask('wake');
  const { message } = await cloud.ended(operation);
  console.log(`Awake after ${(Date.now() - asked) / 1_000} s: ${message}`);
  wakes();
  const after = await cloud.tenant(tenantId);
  expect(after).toMatchObject({ phase: 'available', dnsName: before.dnsName, hibernated: null });
  expect(after.members).toHaveLength(3);
  expect(after.members.filter(({ name }) => namesOf(before).includes(name))).toEqual([]);
  const report = await ended;
  console.log(`${report.acknowledged} writes were acknowledged, ${report.failed.length} failed`);
  expect(report.acknowledged).toBeGreaterThan(600);
  expect([report.lost, report.invented]).toEqual([[], []]);

  const client = new Etcd3({
    hosts: await urls(),
    credentials: {
      rootCertificate: Buffer.from(credentials.caBundle),
      privateKey: Buffer.from(credentials.privateKey),
      certChain: Buffer.from(credentials.certificate),
    },
  });
  const { header } = await client.put('k/awake').value('yes').exec();
  client.close();
  const last = Math.max(...report.revisions.values());
  expect(Number(header.revision)).toBeGreaterThan(last);
  expect(await wrongWithUsers(cloud, tenantId)).toEqual([]);
});

test('awake, it is repaired and backed up as before', async () => {
  await backups.full();
  const [victim] = (await cloud.tenant(tenantId)).members;
  await operating(() => cloud, tenantId).lose(victim!.name);
  await until(
    'three healthy voters, the lost one not among them',
    async () => {
      const now = await cloud.tenant(tenantId);
      return (
        now.phase === 'available' &&
        isWell(now) &&
        !namesOf(now).includes(victim!.name) &&
        now.members.length === 3
      );
    },
    { deadlineMs: 180_000, everyMs: 500 },
  );
});

test('a tenant in which nothing was ever written sleeps and wakes too', async () => {
  await cloud.create('empty', { members: 1 });
  for (const what of ['hibernate', 'wake'] as const) {
    const { operation } = await ask(what, 'empty');
    await cloud.ended(operation);
  }
  expect(await cloud.tenant('empty')).toMatchObject({ phase: 'available' });
});
