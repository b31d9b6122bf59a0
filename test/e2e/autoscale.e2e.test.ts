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
  // What members really use is in the same figures: it has to be little of this class.
  await cloud.create(acme, { size: 'medium' });
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

async function pass(hours: number): Promise<void> {
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

/** So many hours pass in which members used so much at their worst, and one has begun like them. */
async function hoursOf(hours: number, CpuPercent: number): Promise<void> {
  await pass(hours);
  const now = Date.now();
  const figures = Object.entries({ CpuPercent, MemoryPercent: 20, DbSizeBytes: 1_000_000 });
  const points = Array.from({ length: hours + 1 }, (_, hour) =>
    figures.map(([MetricName, Value]) => ({
      MetricName,
      Dimensions: [{ Name: tenantDimension, Value: acme }],
      Timestamp: new Date(now - (hours - hour) * 3_600_000),
      Value,
    })),
  );
  const { url: endpoint, region, credentials } = cloud.cloud;
  const client = new CloudWatchClient({ endpoint, region, credentials });
  await client.send(new PutMetricDataCommand({ Namespace: namespace, MetricData: points.flat() }));
  client.destroy();
}

/** What is said from now on. */
async function advice(): Promise<NonNullable<TenantDocument['sizeAdvice']>> {
  const from = new Date().toISOString();
  return until(
    'CloudWatch to be asked',
    async () => {
      const { sizeAdvice } = await cloud.tenant(acme);
      if (sizeAdvice !== null && sizeAdvice.at >= from) return sizeAdvice;
      // Due, also where a look that was under way while hours passed has written when it began.
      await recordsOf(cloud).change(acme, (record) => ({
        ...record,
        ...(record.sizing && { sizing: { ...record.sizing, at: earlier(from, 60) } }),
      }));
      await look(cloud, acme);
      return false;
    },
    { everyMs: 2_000, deadlineMs: 120_000 },
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
  await hoursOf(1, to === 'large' ? 90 : 5);
  expect(await advice()).toMatchObject({ recommended: to, held: null });
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
      return recommended === 'medium' && /^fits \(CPU \d+ %, memory [1-9]\d* %\)$/.test(reason);
    },
    { everyMs: 1_000 },
  );
  expect(await shown()).toMatch(/Size advice +medium: fits/);
});

test('a tenant that is too small is told the size that would do, and nothing is done without its wish', async () => {
  const before = await cloud.tenant(acme);
  await hoursOf(3, 90);
  expect(await advice()).toMatchObject({
    recommended: 'large',
    reason: expect.stringMatching(/^above 75 % for 3 hours \(CPU \d+ %/),
    held: null,
  });
  expect(await shown()).toMatch(/Size advice +large: above 75 % for 3 hours/);
  await hoursOf(1, 90);
  expect(await advice()).toMatchObject({ recommended: 'large' });
  await expectUnchanged(before);
  expect(await resizes()).toEqual([]);
});

test('without the right to ask CloudWatch it says so, and what was advised before is not followed', async () => {
  const before = await cloud.tenant(acme);
  await cloud.cloud.hurt.act({ do: 'deny', service: 'monitoring', operation: 'GetMetricData' });
  expect((await cloud.cli('update', acme, '--autoscale', 'medium..xlarge')).code).toBe(0);
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
    recommended: 'large',
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
  await expectResized(before, 'large');
});

test('after that it leaves the size alone for six hours, whatever the load does', async () => {
  const before = await cloud.tenant(acme);
  // The load is gone, and back again.
  await hoursOf(2, 5);
  expect(await advice()).toMatchObject({ recommended: 'large', held: null });
  await expectUnchanged(before);
  await hoursOf(3, 95);
  expect(await advice()).toMatchObject({
    recommended: 'xlarge',
    held: 'it changed less than 6 hours ago',
  });
  await expectUnchanged(before);
  expect(await resizes()).toHaveLength(1);
});

test('a day without load makes it smaller again, once', async () => {
  const before = await cloud.tenant(acme);
  await hoursOf(23, 5);
  await expectResized(before, 'medium');
  const after = await cloud.tenant(acme);
  await hoursOf(2, 5);
  // A day of little in the larger class is not one in this.
  expect(await advice()).toMatchObject({ recommended: 'medium', held: null });
  await expectUnchanged(after);
  expect(await resizes()).toHaveLength(2);
});

test('nothing acknowledged was lost on the way, and every read fits one order', async () => {
  await expectNothingLost(load);
  expectNoFailedNewcomer(await lines());
});
