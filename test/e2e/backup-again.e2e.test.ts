import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keysOf } from '../node-image/src/support/backup-cluster.ts';
import { backingUp } from './support/backing-up.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { RecordedHistory } from './support/recorded-history.ts';
import { makeUsers, rootClient, wrongWithUsers } from './support/tenant-users.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

/** Longer than the two to three minutes that a change of users takes to be seen and backed up (decisions/0083). */
const usersMs = 400_000;
const recoveredMs = 240_000;
/** Seconds: no lease ends while states are compared. */
const outlivesTest = 600;

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  if (cloud) await printTimelines(cloud, ['users', 'again']);
  await cloud?.dispose();
});

const create = (tenantId: string) =>
  cloud.create(tenantId, { recovery: 'auto', members: 1, volume: 'ephemeral', quorumLossConfirmSeconds: 10 });

/** The only member and its disk; until another cluster has been made of what is in the bucket. */
async function loseAll(tenantId: string): Promise<void> {
  const { clusterId, members } = await cloud.tenant(tenantId);
  await cloud.cloud.hurt.act({ do: 'stop-task', member: members[0]!.name, hard: true });
  await until(
    `${tenantId} to be recovered`,
    async () => {
      const now = await cloud.tenant(tenantId);
      return now.phase === 'available' && now.remediation === null && now.clusterId !== clusterId;
    },
    { deadlineMs: recoveredMs, everyMs: 1_000 },
  );
}

async function keysIn(tenantId: string): Promise<string[]> {
  const client = await rootClient(cloud, tenantId);
  try {
    return await keysOf(client);
  } finally {
    client.close();
  }
}

describe('users that were made after the last full backup', () => {
  const backups = backingUp(() => cloud, 'users');

  test('bring another one by themselves, and are there when everything is lost then', async () => {
    await create('users');
    await backups.full();
    const { length: before } = (await backups.list()).backups;
    await makeUsers(cloud, 'users');
    await until(
      'the users to be backed up',
      async () => (await backups.list()).backups.some(({ reason }) => reason === 'users-changed'),
      { deadlineMs: usersMs, everyMs: 2_000 },
    );
    expect((await backups.list()).backups.length).toBeGreaterThan(before);
    expect(await wrongWithUsers(cloud, 'users')).toEqual([]);
    await loseAll('users');
    expect(await wrongWithUsers(cloud, 'users')).toEqual([]);
  }, 800_000);
});

describe('everything is lost between a restore and its first full backup', () => {
  const backups = backingUp(() => cloud, 'again');
  /** No full backup of the restored cluster can be stored. */
  const resource = '/again/2/full/';

  test('what was restored is there again, not what the restore had taken back', async () => {
    await create('again');
    await backups.full();
    const client = await rootClient(cloud, 'again');
    const history = await RecordedHistory.begin(client, outlivesTest);
    await history.go(40);
    client.close();
    await backups.shipped(history.last.revision);
    const wanted = history.moments[20]!;
    await cloud.cloud.hurt.act({ do: 'deny', service: 's3', resource });
    await backups.restore({ to: wanted.revision });
    expect(await keysIn('again')).toEqual(wanted.keys);
    const { backups: listed } = await backups.list();
    expect(listed.filter(({ incarnation }) => incarnation === 2).map(({ reason }) => reason)).toEqual([
      'beginning',
    ]);
    await loseAll('again');
    await cloud.cloud.hurt.act({ do: 'clear' });
    expect(await keysIn('again')).toEqual(wanted.keys);
    const lines = (await timelineOf(cloud, 'again')).map(({ message }) => message);
    expect(lines.filter((line) => /what incarnation 2 began from/.test(line))).not.toEqual([]);
  }, 500_000);

  test('and it is deleted: it comes back under another name, as long as its backups are kept', async () => {
    const before = await keysIn('again');
    const { code, stderr } = await cloud.cli('delete', 'again', '--yes', '--wait');
    expect([code, stderr]).toEqual([0, expect.anything()]);
    await until('it to be gone', async () => (await cloud.cli('get', 'again')).code === 1);
    const refused = await cloud.cli('restore', 'again', '--to', 'newest', '--yes');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/was deleted at .*--into again/);
    const made = await cloud.cli('restore', 'again', '--to', 'newest', '--into', 'then', '--wait', '--json');
    expect(made.stderr).not.toMatch(/failed/);
    expect(made.code).toBe(0);
    expect(await keysIn('then')).toEqual(before);
  });
});
