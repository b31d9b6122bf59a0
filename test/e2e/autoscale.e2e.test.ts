import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { metricNamespace, tenantDimension } from '../../lambdas/core/metrics.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { look } from './support/look.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { expectNoFailedNewcomer, namesOf, operating, zonesOf } from './support/operating.ts';
import { earlier, recordsOf } from './support/record.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

/**
 * Autoscale asks for hours and days of figures. They pass by time lapse: the times in the tenant's record and all that
 * CloudWatch was told move back together. What is made of them is decided by the deployed functions.
 */
const acme = 'acme';
const namespace = metricNamespace('etcd-nanny');

let cloud: TestCloud;
let load: Load;
beforeAll(async () => {
  cloud = await testCloud();
  await cloud.create(acme);
  // Little: what members really use is in the same figures.
  load = await startLoad(cloud, acme, { perSecond: 25, hotKeys: 1 });
  await load.goesOn();
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') return printTimelines(cloud, [acme]);
});
afterAll(async () => {
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

const { change, lines } = operating(() => cloud, acme);

/** Since the last lapse: what was asked before is older by then. */
let passedAt = '';

async function pass(hours: number): Promise<void> {
  passedAt = new Date().toISOString();
  const before = (at: string) => earlier(at, hours * 60);
  await recordsOf(cloud).change(acme, (record) => {
    const { sizing, members, createdAt } = record;
    const { at, since, changedAt } = sizing ?? {};
    const joined = Object.entries(members).map(([name, member]) => [
      name,
      'joinedAt' in member ? { ...member, joinedAt: before(member.joinedAt) } : member,
    ]);
    return {
      ...record,
      createdAt: before(createdAt),
      members: Object.fromEntries(joined),
      ...(sizing && {
        sizing: {
          ...sizing,
          ...(at && { at: before(at) }),
          ...(since && { since: before(since) }),
          ...(changedAt && { changedAt: before(changedAt) }),
        },
      }),
    };
  });
  cloud.cloud.metrics.age(hours);
}

/** Whole hours in which members used so much at their worst, and the one that has begun. */
async function hoursOf(hours: number, CpuPercent: number): Promise<void> {
  const { url: endpoint, region, credentials } = cloud.cloud;
  const client = new CloudWatchClient({ endpoint, region, credentials });
  const Dimensions = [{ Name: tenantDimension, Value: acme }];
  const tell = () =>
    client.send(
      new PutMetricDataCommand({
        Namespace: namespace,
        MetricData: Object.entries({ CpuPercent, MemoryPercent: 20 }).map(([MetricName, Value]) => ({
          MetricName,
          Dimensions,
          Value,
        })),
      }),
    );
  for (let hour = 0; hour < hours; hour += 1) {
    await tell();
    await pass(1);
  }
  await tell();
  client.destroy();
}

/** What is said since hours have passed. */
async function advice(): Promise<NonNullable<TenantDocument['sizeAdvice']>> {
  return until(
    'CloudWatch to be asked',
    async () => {
      await look(cloud, acme);
      const { sizeAdvice } = await cloud.tenant(acme);
      return sizeAdvice !== null && sizeAdvice.at >= passedAt && sizeAdvice;
    },
    { everyMs: 1_000 },
  );
}

const shown = async (): Promise<string> => (await cloud.cli('get', acme)).stdout;
const resizes = async (): Promise<Operation[]> => {
  const operations = await cloud.api.all<Operation>(`/v1/tenants/${acme}/operations`);
  return operations.filter(({ kind }) => kind === 'resize');
};
/** Members and size are those of before, and nothing has begun that would change them. */
async function expectUnchanged(before: TenantDocument): Promise<void> {
  await load.goesOn();
  const { members, spec, operation } = await cloud.tenant(acme);
  expect(members.map(({ name, made }) => [name, made?.size])).toEqual(
    before.members.map(({ name, made }) => [name, made?.size]),
  );
  expect([spec.size, operation]).toEqual([before.spec.size, null]);
}

/** The resize that the advice has begun, to its end: member by member, under load. */
async function expectResized(before: TenantDocument, to: string): Promise<void> {
  const count = (await resizes()).length;
  await load.lap();
  await hoursOf(1, to === 'medium' ? 90 : 5);
  await advice();
  const begun = await until('the resize to begin', async () => {
    const now = await resizes();
    return now.length === count + 1 && now.find(({ requestedBy }) => requestedBy === 'etcd-nanny');
  });
  await cloud.ended(begun);
  const tenant = await cloud.tenant(acme);
  expect(tenant.spec.size).toBe(to);
  expect(tenant.members.map(({ made }) => made?.size)).toEqual([to, to, to]);
  expect(namesOf(tenant).filter((name) => namesOf(before).includes(name))).toEqual([]);
  expect(zonesOf(tenant)).toEqual(zonesOf(before));
  expect((await load.lap()).failures).toEqual([]);
  const line = `Autoscale: size ${before.spec.size} → ${to}: `;
  expect((await lines()).filter((each) => each.startsWith(line))).toHaveLength(1);
}

test('what the members tell of themselves is what the advice is made of', async () => {
  await until(
    'figures of the members in CloudWatch',
    async () => {
      await pass(1);
      const { recommended, reason } = await advice();
      return recommended === 'small' && /^fits \(CPU \d+ %, memory [1-9]\d* %\)$/.test(reason);
    },
    { everyMs: 1_000 },
  );
  expect(await shown()).toMatch(/Size advice +small: fits/);
});

test('a tenant that is too small is told the size that would do, and nothing is done without its wish', async () => {
  const before = await cloud.tenant(acme);
  await hoursOf(3, 90);
  expect(await advice()).toMatchObject({
    recommended: 'medium',
    reason: expect.stringMatching(/^above 75 % for 3 hours \(CPU \d+ %/),
    held: null,
  });
  expect(await shown()).toMatch(/Size advice +medium: above 75 % for 3 hours/);
  await hoursOf(1, 90);
  expect(await advice()).toMatchObject({ recommended: 'medium' });
  await expectUnchanged(before);
  expect(await resizes()).toEqual([]);
});

test('without the right to ask CloudWatch it says so, and what was advised before is not followed', async () => {
  const before = await cloud.tenant(acme);
  await cloud.cloud.hurt.act({ do: 'deny', service: 'monitoring', operation: 'GetMetricData' });
  expect((await cloud.cli('update', acme, '--autoscale', 'small..large')).code).toBe(0);
  await hoursOf(1, 90);
  expect(await advice()).toMatchObject({
    recommended: null,
    reason: expect.stringContaining('CloudWatch refuses to tell what is used (access-denied)'),
  });
  expect(await shown()).toMatch(/Size advice +none: CloudWatch refuses/);
  await expectUnchanged(before);
  await cloud.cloud.hurt.act({ do: 'clear' });
});

test('outside the maintenance window it says when that opens, and waits', async () => {
  const before = await cloud.tenant(acme);
  // Opens in about three days, whenever this runs.
  const day = new Date(Date.now() + 3 * 86_400_000).toUTCString().slice(0, 3).toLowerCase();
  await change({ maintenanceWindow: { days: [day], start: '03:30', minutes: 60 } });
  await hoursOf(1, 90);
  expect(await advice()).toMatchObject({
    recommended: 'medium',
    held: expect.stringMatching(/^its maintenance window opens at .*T03:30:00.000Z$/),
  });
  expect(await shown()).toMatch(/not followed now: its maintenance window opens at/);
  await expectUnchanged(before);
});

test('within the window every member gets the size by surge, and no write fails', async () => {
  const before = await cloud.tenant(acme);
  const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
  const start = new Date().toISOString().slice(11, 16);
  await change({ maintenanceWindow: { days, start, minutes: 120 } });
  await expectResized(before, 'medium');
});

test('after that it leaves the size alone for six hours, whatever the load does', async () => {
  const before = await cloud.tenant(acme);
  await hoursOf(4, 95);
  expect(await advice()).toMatchObject({
    recommended: 'large',
    held: 'it changed less than 6 hours ago',
  });
  await expectUnchanged(before);
  // The load is gone.
  await hoursOf(1, 5);
  expect(await advice()).toMatchObject({ recommended: 'medium', held: null });
  await expectUnchanged(before);
  expect(await resizes()).toHaveLength(1);
});

test('a day without load makes it smaller again, once', async () => {
  const before = await cloud.tenant(acme);
  await hoursOf(23, 5);
  await expectResized(before, 'small');
  const after = await cloud.tenant(acme);
  await hoursOf(2, 5);
  expect(await advice()).toMatchObject({ recommended: 'small' });
  await expectUnchanged(after);
  expect(await resizes()).toHaveLength(2);
});

test('nothing acknowledged was lost on the way, and every read fits one order', async () => {
  await expectNothingLost(load);
  expectNoFailedNewcomer(await lines());
});
