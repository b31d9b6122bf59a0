import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type AlarmKind, alarmKinds, alarmName } from '../../lambdas/core/alarms.ts';
import { type Alarming, alarming, deployment, type Fault, keepLooking } from './support/alarming.ts';
import { etcd3Client } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { operating } from './support/operating.ts';
import { recordsOf } from './support/record.ts';
import { calm } from './support/recovery-times.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

/**
 * Each alarm of a tenant is driven to ALARM by the fault that its runbook names and back by what the runbook says is to be done, and
 * each fault pages exactly once: as many pages as faults, not as alarms. Six minutes of the alarms' periods pass in one here; ages
 * that metrics tell (of a backup, of a repair) are real. Tenants have their faults beside each other: no alarm of one may page for another.
 */
const speed = 6;
const pageAfterMinutes = 3;
/** A fault, its end and what it takes to be told of both; `acme` has three of them. */
const timeout = 45 * 60_000;

/** Three members, one fault after the other. The others have one member each. */
const acme = 'acme';
const small = { full: 'full', stale: 'stale', doubted: 'doubted', old: 'old', stuck: 'stuck' };
const tenants = [acme, ...Object.values(small)];
const quotaMiB = 16;
const filledTo = 0.92;

let cloud: TestCloud;
let stopLooking: () => Promise<void>;
const alarms: Alarming = alarming(() => cloud);
beforeAll(async () => {
  cloud = await testCloud({ context: { pageAfterMinutes } });
  cloud.cloud.alarms.speed = speed;
  await Promise.all([
    cloud.create(acme, {}, 300_000),
    ...Object.values(small).map((name) =>
      cloud.create(name, { members: 1, ...(name === small.full && { quotaMiB }) }, 300_000),
    ),
  ]);
  stopLooking = keepLooking(() => cloud, tenants, 6_000);
}, 600_000);
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') return;
  alarms.print();
  return printTimelines(cloud, tenants);
});
afterAll(async () => {
  await stopLooking?.();
  await cloud?.dispose();
});

const of = (tenantId: string, kind: AlarmKind | 'page') => alarmName(deployment, tenantId, kind);

const drive = (tenantId: string, kinds: readonly AlarmKind[], more: Partial<Fault> = {}) =>
  alarms.drive({
    runbook: kinds[0]!,
    alarms: kinds.map((kind) => of(tenantId, kind)),
    page: of(tenantId, 'page'),
    meant: { acme: tenantId },
    ...more,
  });

/** All three are there, and two of them can be hurt. */
async function withFollowers(): Promise<Pick<Fault, 'meant'>> {
  const { members } = await calm(cloud, acme, 300_000);
  const [first, second] = members.filter(({ isLeader }) => !isLeader);
  return { meant: { '<follower>': first!.name, '<other follower>': second!.name } };
}

/** Not over the quota: then nothing could be written any more, which is another fault. */
async function fill(tenantId: string): Promise<void> {
  const client = await etcd3Client(cloud, tenantId);
  const value = Buffer.alloc(64 * 1024, 'x');
  const enough = filledTo * quotaMiB * 1024 * 1024;
  for (let key = 0; Number((await client.maintenance.status()).dbSize) < enough; key += 1)
    await client.put(`big/${key}`).value(value);
  client.close();
}

/** As if its authority were nearly ten years old, with so many days left. */
const ageAuthority = (tenantId: string, daysLeft: number) =>
  recordsOf(cloud).change(tenantId, (record) => {
    if (record.pki === undefined) return undefined;
    const at = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
    return { ...record, pki: { ...record.pki, validFrom: at(daysLeft - 3_650), validUntil: at(daysLeft) } };
  });

test('tenants have their alarms soon after they were made, and none of them is on', { timeout }, async () => {
  for (const tenantId of tenants) await alarms.becomes(of(tenantId, 'page'), 'OK');
  const ofTenants = () =>
    cloud.cloud.alarms.all().filter(({ alarm }) => alarm.AlarmName.startsWith(`${deployment}/`));
  await until('all alarms to be OK', () => ofTenants().every(({ state }) => state === 'OK'), {
    deadlineMs: 600_000,
    everyMs: 1_000,
  });
  // A cluster of one member never has one to spare.
  const expected = (alarmKinds.length + 1) * tenants.length - Object.keys(small).length;
  expect(ofTenants()).toHaveLength(expected);
  alarms.count();
});

describe('a fault turns its alarm on, pages once, and is over when its runbook was followed', {
  timeout,
  concurrent: true,
}, () => {
  test('split brain, quorum at risk, not writable: one after the other', async () => {
    await drive(acme, ['split-brain'], await withFollowers());
    // The repair that gets nowhere is the same fault.
    await drive(acme, ['quorum-at-risk', 'operation-stuck'], await withFollowers());
    await drive(acme, ['not-writable'], await withFollowers());
  });

  test('space: the database is nearly full, and nobody may make room', () =>
    drive(small.full, ['space'], { by: () => fill(small.full) }));

  test('backup not fresh: S3 takes nothing any more', () => drive(small.stale, ['backup-not-fresh']));

  test('backup not proven: the newest backup is damaged, and none can take its place', () =>
    drive(small.doubted, ['backup-not-proven']));

  test('certificate near expiry: the authority is nearly too old, and nobody may replace it', () =>
    drive(small.old, ['certificate-expiry'], { by: () => ageAuthority(small.old, 370) }));

  test('operation stuck: an operation gets nowhere', () => drive(small.stuck, ['operation-stuck']));
});

test('as many pages as faults, and each alarm that was on belongs to its fault', () => {
  const pages = [acme, acme, ...tenants].map((tenantId) => of(tenantId, 'page'));
  expect(alarms.paged().sort()).toEqual(pages.sort());
  const fitting = [
    // A quorum that is lost is not safe either; nor is one with a stranger in it. The repair of either may take its time.
    ...(['quorum-at-risk', 'operation-stuck', 'not-writable', 'split-brain'] as const).map((kind) =>
      of(acme, kind),
    ),
    of(small.full, 'space'),
    of(small.stale, 'backup-not-fresh'),
    of(small.doubted, 'backup-not-proven'),
    // The backup that was to take its place does not come about.
    of(small.doubted, 'operation-stuck'),
    of(small.old, 'certificate-expiry'),
    of(small.stuck, 'operation-stuck'),
  ];
  expect(alarms.turnedOn().filter((name) => !fitting.includes(name))).toEqual([]);
});

test('the alarms of a deleted tenant are removed', { timeout }, async () => {
  await stopLooking();
  const { operation } = await operating(() => cloud, small.stale).command(
    'delete',
    small.stale,
    '--yes',
    '--no-final-backup',
  );
  await cloud.ended(operation);
  await until('its alarms to be gone', () =>
    cloud.cloud.alarms.all().every(({ alarm }) => !alarm.AlarmName.includes(`/${small.stale}/`)),
  );
});
