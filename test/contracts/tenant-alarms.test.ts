import { CloudWatchClient, DescribeAlarmsCommand, PutMetricAlarmCommand } from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudWatchAlarms } from '../../lambdas/adapters/cloudwatch-alarms.ts';
import { alarmsOf } from '../../lambdas/core/alarms.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { type SmallCloud, startSmallCloud } from '../local/support/small-cloud.ts';

const settings = {
  deploymentName: 'mine',
  topicArn: 'arn:aws:sns:us-east-1:000000000000:pages',
  runbookUrl: 'https://runbooks.example.com',
  pageAfterMinutes: 15,
  stormAlarm: 'mine-storm-stop',
};
const tenant = (tenantId: string, spec: object = {}) =>
  ({
    tenantId,
    spec: { members: 3, quotaMiB: 2048, ...spec },
    status: { phase: 'available' },
  }) as unknown as TenantRecord;
const wanted = (tenantId: string, spec: object = {}) => alarmsOf(tenant(tenantId, spec), settings);

let small: SmallCloud;
let client: CloudWatchClient;
let alarms: CloudWatchAlarms;
beforeAll(async () => {
  small = await startSmallCloud(4794, {}, {});
  const { url: endpoint, region, credentials } = small.cloud;
  client = new CloudWatchClient({ endpoint, region, credentials });
  alarms = new CloudWatchAlarms({ settings, namespace: 'EtcdNanny/mine', client });
  await client.send(
    new PutMetricAlarmCommand({
      AlarmName: settings.stormAlarm,
      Namespace: 'EtcdNanny/mine',
      MetricName: 'StormStop',
      Statistic: 'Maximum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold: 0,
      ComparisonOperator: 'GreaterThanThreshold',
    }),
  );
});
afterAll(async () => {
  client?.destroy();
  await small?.stop();
});

const namesNow = async (AlarmNamePrefix: string) => {
  const { MetricAlarms = [], CompositeAlarms = [] } = await client.send(
    new DescribeAlarmsCommand({ AlarmNamePrefix, AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
  );
  return [...MetricAlarms, ...CompositeAlarms].map(({ AlarmName }) => AlarmName!.split('/')[2]).sort();
};

describe('Alarms of tenants in CloudWatch', () => {
  test('are eight and the one that pages; asked for again, nothing is changed', async () => {
    expect(await alarms.ensure('acme', wanted('acme'))).toBe(9);
    expect(await namesNow('mine/acme/')).toEqual([
      'backup-not-fresh',
      'backup-not-proven',
      'certificate-expiry',
      'not-writable',
      'operation-stuck',
      'page',
      'quorum-at-risk',
      'space',
      'split-brain',
    ]);
    expect(await alarms.ensure('acme', wanted('acme'))).toBe(0);
  });

  test('follow the record: one member has no quorum to lose, another quota another threshold', async () => {
    // Space has another threshold, quorum-at-risk goes, and the composite names it no more.
    expect(await alarms.ensure('acme', wanted('acme', { members: 1, quotaMiB: 4096 }))).toBe(3);
    expect(await namesNow('mine/acme/')).not.toContain('quorum-at-risk');
    const { MetricAlarms } = await client.send(
      new DescribeAlarmsCommand({ AlarmNames: ['mine/acme/space'] }),
    );
    expect(MetricAlarms![0]!.Threshold).toBe(Math.round(0.9 * 4096 * 1024 * 1024));
    expect(await alarms.ensure('acme', wanted('acme'))).toBe(3);
  });

  test('that somebody has changed by hand are as they were again', async () => {
    const { MetricAlarms } = await client.send(
      new DescribeAlarmsCommand({ AlarmNames: ['mine/acme/space'] }),
    );
    const { AlarmName, Namespace, MetricName, Statistic, Dimensions, Period } = MetricAlarms![0]!;
    await client.send(
      new PutMetricAlarmCommand({
        ...{ AlarmName, Namespace, MetricName, Statistic, Dimensions, Period },
        EvaluationPeriods: 99,
        Threshold: 1,
        ComparisonOperator: 'GreaterThanThreshold',
      }),
    );
    expect(await alarms.ensure('acme', wanted('acme'))).toBe(1);
  });

  test("of one tenant are removed without those of another whose name begins alike, or the fleet's", async () => {
    await alarms.ensure('acme-two', wanted('acme-two'));
    expect(await alarms.tenants()).toEqual(['acme', 'acme-two']);
    expect(await alarms.ensure('acme', undefined)).toBe(9);
    expect(await alarms.ensure('acme', undefined)).toBe(0);
    expect(await alarms.tenants()).toEqual(['acme-two']);
    const { MetricAlarms } = await client.send(
      new DescribeAlarmsCommand({ AlarmNames: [settings.stormAlarm] }),
    );
    expect(MetricAlarms).toHaveLength(1);
  });

  test('each say where their runbook is', async () => {
    const { MetricAlarms } = await client.send(
      new DescribeAlarmsCommand({ AlarmNamePrefix: 'mine/acme-two/' }),
    );
    for (const { AlarmName, AlarmDescription } of MetricAlarms!) {
      const kind = AlarmName!.split('/')[2];
      expect(AlarmDescription).toContain(`https://runbooks.example.com/${kind}.md`);
    }
  });
});
