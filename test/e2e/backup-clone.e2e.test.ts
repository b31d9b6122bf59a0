import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { EtcdClient } from '../../node-image/src/etcd/client.ts';
import { keysOf } from '../node-image/src/support/backup-cluster.ts';
import { etcdVersionsAtHand } from '../node-image/src/support/versions.ts';
import { backingUp } from './support/backing-up.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { startLoad } from './support/load.ts';
import { namesOf } from './support/operating.ts';
import { RecordedHistory } from './support/recorded-history.ts';
import { makeUsers, rootClient, wrongWithUsers } from './support/tenant-users.ts';
import { printTimelines } from './support/timeline.ts';
import { askAws } from './support/truth.ts';
import { until } from './support/until.ts';

/** How much older than asked a state may be: as long as a watch takes to tell. */
const lateMs = 1_000;
/** Seconds: no lease ends while states are compared. */
const outlivesTest = 600;

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  if (cloud) await printTimelines(cloud, ['acme', 'copy', 'older']);
  await cloud?.dispose();
});

/** Every key of a tenant, asked of one of its members. */
async function keysIn(tenantId: string): Promise<string[]> {
  const client = await rootClient(cloud, tenantId);
  try {
    return await keysOf(client);
  } finally {
    client.close();
  }
}

async function remove(tenantId: string): Promise<void> {
  const path = `/v1/tenants/${tenantId}?finalBackup=false`;
  await cloud.api.call<{ operation: Operation }>({ method: 'DELETE', path });
  await until(`${tenantId} to be gone`, async () => (await cloud.cli('get', tenantId)).code === 1);
}

describe('a clone of a cluster of three', () => {
  const backups = backingUp(() => cloud, 'acme');
  beforeAll(async () => {
    await cloud.create('acme', { recovery: 'auto', members: 3 });
    await makeUsers(cloud, 'acme');
    await backups.full();
  });

  test('has everything that was written a segment ago; the source goes on, and no write of it fails', async () => {
    const before = await cloud.tenant('acme');
    const load = await startLoad(cloud, 'acme');
    try {
      await load.goesOn(2_000);
      const segmentAgo = Date.now();
      await load.goesOn(2_000);
      const report = await backups.restore({ to: 'newest', into: 'copy' });
      await load.goesOn(200);
      const { failed, lost, invented, acknowledged, answeredAt, longestGapMs } = await load.stop();
      console.log(`acme meanwhile: ${acknowledged} writes, longest gap ${Math.round(longestGapMs)} ms`);
      expect([failed, lost, invented]).toEqual([[], [], []]);
      expect(report.lost).toBeNull();
      const there = new Set((await keysIn('copy')).map((line) => line.split(' ')[0]));
      const old = [...answeredAt].filter(([, at]) => at < segmentAgo).map(([number]) => `load/n/${number}`);
      expect(old.length).toBeGreaterThan(1_000);
      const missing = old.filter((key) => !there.has(key));
      expect(missing).toEqual([]);
    } finally {
      await load.stop();
    }
    const [source, copy] = [await cloud.tenant('acme'), await cloud.tenant('copy')];
    expect([source.clusterId, namesOf(source)]).toEqual([before.clusterId, namesOf(before)]);
    expect(copy.clusterId).not.toBe(source.clusterId);
    expect(copy.dnsName).not.toBe(source.dnsName);
  });

  test('has the users and passwords of its source, and goes its own way', async () => {
    expect(await wrongWithUsers(cloud, 'copy')).toEqual([]);
    const client = await rootClient(cloud, 'copy');
    await client.call('put', { key: Buffer.from('k/only-here'), value: Buffer.from('x') });
    client.close();
    expect((await keysIn('acme')).filter((line) => line.startsWith('k/only-here'))).toEqual([]);
  });

  test('is backed up by itself, below its own name', async () => {
    await backingUp(() => cloud, 'copy').full();
    const { backups: own } = await backingUp(() => cloud, 'copy').list();
    const keys = own.map(({ key }) => key);
    // What it began from counts as its first full backup (decisions/0120).
    expect(keys.filter((key) => !/\/copy\/1\/(full|prepared)\//.test(key))).toEqual([]);
    expect(keys.some((key) => key.includes('/full/'))).toBe(true);
    await remove('copy');
    expect(await askAws(cloud).tasks('RUNNING', 'copy')).toEqual([]);
  });
});

describe('points in time of a tenant of one member, of a version that is one minor behind', async () => {
  const older = (await etcdVersionsAtHand()).find((version) => version.startsWith('3.5.'));
  const backups = backingUp(() => cloud, 'older');
  let client: EtcdClient;
  let history: RecordedHistory;

  beforeAll(async () => {
    await cloud.create('older', { members: 1, ...(older && { version: older }) });
    await backups.full();
    client = await rootClient(cloud, 'older');
    history = await RecordedHistory.begin(client, outlivesTest);
    await history.go(150);
    await client.call('compact', { revision: String(history.last.revision - 20) });
    await backups.full();
    await history.go(150);
    await backups.shipped(history.last.revision);
  });
  afterAll(() => client?.close());

  const somewhere = () => history.moments[1 + Math.floor(Math.random() * (history.moments.length - 1))]!;

  test('five of them, by revision and by time, into clones of the next minor: every key is as it was', async () => {
    const { moments } = history;
    const revisions = [somewhere(), somewhere(), moments.at(-2)!];
    const [from, to] = [moments[2]!.surelyBy, moments.at(-2)!.surelyBy];
    const times = [0, 1].map(() => from + Math.random() * (to - from));
    const targets = [
      ...revisions.map(({ revision }) => ({ to: revision, may: { least: revision, most: revision } })),
      ...times.map((time) => ({ to: new Date(time).toISOString(), may: history.within(time, lateMs) })),
    ];
    for (const [n, { to, may }] of targets.entries()) {
      const into = `then-${n}`;
      const { revision } = await backups.restore({ to, into, version: '3.6' });
      console.log(`${into}: asked for ${to}, got ${revision} (${JSON.stringify(may)})`);
      expect(revision).toBeGreaterThanOrEqual(may.least);
      expect(revision).toBeLessThanOrEqual(may.most);
      expect(await keysIn(into)).toEqual(history.at(revision).keys);
      expect((await cloud.tenant(into)).version).toMatch(/^3\.6\./);
      await remove(into);
    }
  });
});
