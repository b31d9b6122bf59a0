import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeTasksCommand, ECSClient } from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RestoreReport } from '../../lambdas/core/model/restore.ts';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { keysOf } from '../node-image/src/support/backup-cluster.ts';
import { backingUp } from './support/backing-up.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type KeyObserver, observeKeys } from './support/observer.ts';
import { isWell, namesOf, operating } from './support/operating.ts';
import { RecordedHistory } from './support/recorded-history.ts';
import { makeUsers, rootClient, wrongWithUsers } from './support/tenant-users.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = 'acme';
/** Longer than a segment is kept open (5 s). */
const quietMs = 8_000;
/** Seconds: no lease ends while states are compared. */
const outlivesTest = 600;

let cloud: TestCloud;
let observer: KeyObserver;
const backups = backingUp(() => cloud, tenantId);

/** Writes for a while; then nobody writes until everything is in the bucket. */
async function written(changes: number): Promise<RecordedHistory> {
  const client = await rootClient(cloud, tenantId);
  try {
    const history = await RecordedHistory.begin(client, outlivesTest);
    await history.go(changes);
    return history;
  } finally {
    client.close();
  }
}

async function stateNow(): Promise<{ revision: number; keys: string[] }> {
  const client = await rootClient(cloud, tenantId);
  try {
    const { header } = await client.call('range', { key: Buffer.from([0]), countOnly: true });
    return { revision: Number(header!.revision), keys: await keysOf(client) };
  } finally {
    client.close();
  }
}

/** ms since the epoch, as ECS has them. */
async function timesOfTasks(taskArns: readonly string[]) {
  const { url: endpoint, region, credentials, registry } = cloud.cloud;
  const ecs = new ECSClient({ endpoint, region, credentials });
  const cluster = registry.resourcesOfType('AWS::ECS::Cluster')[0]!.ref;
  const { tasks = [] } = await ecs.send(new DescribeTasksCommand({ cluster, tasks: [...taskArns] }));
  ecs.destroy();
  return tasks.map(({ createdAt, stoppedAt }) => ({
    created: Number(createdAt),
    stopped: Number(stoppedAt),
  }));
}

const arnsOf = ({ members }: TenantDocument): string[] => members.map(({ taskArn }) => taskArn!);

beforeAll(async () => {
  cloud = await testCloud();
  await cloud.create(tenantId, { recovery: 'auto', members: 3 });
  await makeUsers(cloud, tenantId);
  await backups.full();
  observer = observeKeys(cloud, tenantId, 'k/');
});
afterAll(async () => {
  await observer?.stop();
  if (cloud) await printTimelines(cloud, [tenantId]);
  await cloud?.dispose();
});

test('a dry run says what would come of it and changes nothing', async () => {
  const history = await written(10);
  await backups.shipped(history.last.revision);
  const [before, operations] = [
    await cloud.tenant(tenantId),
    await cloud.cli('operations', tenantId, '--json'),
  ];
  const said = await cloud.cli('restore', tenantId, '--to', 'newest', '--dry-run', '--json');
  expect(said.code).toBe(0);
  const { estimate, operation } = JSON.parse(said.stdout);
  expect(operation).toBeNull();
  expect(estimate).toMatchObject({ from: tenantId, into: tenantId, revision: history.last.revision });
  expect(estimate.seconds).toBeGreaterThan(0);
  const after = await cloud.tenant(tenantId);
  expect([after.clusterId, namesOf(after), after.operation]).toEqual([
    before.clusterId,
    namesOf(before),
    null,
  ]);
  expect((await cloud.cli('operations', tenantId, '--json')).stdout).toBe(operations.stdout);
});

/** Restores, and checks everything that holds of each restore in place. */
async function restored(to: string | number): Promise<{ report: RestoreReport; before: TenantDocument }> {
  const before = await cloud.tenant(tenantId);
  const was = await stateNow();
  const { last } = observer.observed();
  const { length: reads } = observer.observed().relisted;
  const report = await backups.restore({ to });
  const after = await cloud.tenant(tenantId);
  expect(after).toMatchObject({
    phase: 'available',
    operation: null,
    remediation: null,
    dnsName: before.dnsName,
  });
  expect(after.clusterId).not.toBe(before.clusterId);
  expect(after.members).toHaveLength(3);
  expect(after.members.filter(({ name }) => namesOf(before).includes(name))).toEqual([]);

  const [old, fresh] = [await timesOfTasks(arnsOf(before)), await timesOfTasks(arnsOf(after))];
  const lastStop = Math.max(...old.map(({ stopped }) => stopped));
  const firstStart = Math.min(...fresh.map(({ created }) => created));
  expect(lastStop, 'the last old member stops before the first new one is launched').toBeLessThan(firstStart);

  const now = await stateNow();
  expect(now.revision).toBeGreaterThan(was.revision);
  expect(report.lost!.revisions).toBe(was.revision - report.revision);
  expect(report.revisionNow).toBeLessThanOrEqual(now.revision);
  const { prepare, fence, boot, total } = report.seconds;
  expect(prepare + fence + boot).toBeLessThanOrEqual(total + 0.1);
  expect(await wrongWithUsers(cloud, tenantId)).toEqual([]);

  await until('the watcher to read anew', () => observer.observed().relisted.length > reads);
  const { wentBack, relisted } = observer.observed();
  expect(wentBack).toEqual([]);
  expect(relisted.at(-1)!.why).toContain('required revision has been compacted');
  expect(relisted.at(-1)!.to).toBeGreaterThan(last);
  return { report, before };
}

/** The client's own keys: `wrongWithUsers` writes one. */
const own = (keys: readonly string[]): string[] => keys.filter((line) => !line.startsWith('k/user '));

test('restored to a revision: every key is as it was then; same users, same passwords, same rights', async () => {
  const history = await written(80);
  await backups.shipped(history.last.revision);
  const wanted = history.moments[Math.floor(history.moments.length / 2)]!;
  const { report } = await restored(wanted.revision);
  expect(report).toMatchObject({ revision: wanted.revision, keys: wanted.keys.length });
  expect(own((await stateNow()).keys)).toEqual(own(wanted.keys));
});

test('restored to a time: nothing of later is there, everything of before is', async () => {
  await backups.full();
  const history = await written(30);
  await sleep(1_500);
  const at = new Date();
  const quiet = history.last;
  await sleep(500);
  const later = await written(30);
  await backups.shipped(later.last.revision);
  const { report } = await restored(at.toISOString());
  // A lease may have ended in the silence.
  const truth = later.moments.findLast(({ notBefore }) => notBefore <= at.getTime()) ?? quiet;
  expect(report.revision).toBeGreaterThanOrEqual(quiet.revision);
  expect(report.revision).toBeLessThanOrEqual(Math.max(truth.revision, quiet.revision));
  expect(report.target).toEqual({ kind: 'time', at: at.toISOString() });
});

test('restored to the newest state: nothing is lost of what was written a segment ago', async () => {
  await backups.full();
  const history = await written(60);
  await sleep(quietMs);
  const { report } = await restored('newest');
  expect(report.revision).toBeGreaterThanOrEqual(history.last.revision);
});

test('a member that is lost after the restores is replaced: our own access works', async () => {
  const before = await cloud.tenant(tenantId);
  const victim = before.members.find(({ isLeader }) => isLeader)!;
  const begun = Date.now();
  await operating(() => cloud, tenantId).lose(victim.name);
  await until(
    'three healthy voters, the lost one not among them',
    async () => {
      const now = await cloud.tenant(tenantId);
      return (
        now.phase === 'available' &&
        isWell(now) &&
        now.remediation === null &&
        !namesOf(now).includes(victim.name) &&
        now.members.length === 3
      );
    },
    { deadlineMs: 180_000, everyMs: 500 },
  );
  console.log(`A member lost after the restores: healed in ${(Date.now() - begun) / 1_000} s`);
  expect(await wrongWithUsers(cloud, tenantId)).toEqual([]);
});
