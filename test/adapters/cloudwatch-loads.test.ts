import type { CloudWatchClient, GetMetricDataCommandInput } from '@aws-sdk/client-cloudwatch';
import { expect, test } from 'vitest';
import { CloudWatchLoads } from '../../lambdas/adapters/cloudwatch-loads.ts';

test('asks for the worst of each hour, puts pages together, and takes no data for what it is', async () => {
  const inputs: GetMetricDataCommandInput[] = [];
  const [first, second] = [new Date('2026-11-28T10:00:00Z'), new Date('2026-11-28T11:00:00Z')];
  const pages = [
    {
      MetricDataResults: [
        { Id: 'cpuPercent', Timestamps: [second, first], Values: [80, 70] },
        { Id: 'memoryPercent', Timestamps: [second], Values: [30] },
      ],
      NextToken: 'more',
    },
    { MetricDataResults: [{ Id: 'dbSizeBytes', Timestamps: [second], Values: [1_000] }] },
  ];
  const client = {
    send: async ({ input }: { input: GetMetricDataCommandInput }) => {
      inputs.push(input);
      return pages[inputs.length - 1];
    },
  } as unknown as CloudWatchClient;
  const hours = await new CloudWatchLoads({ namespace: 'EtcdNanny/x', client }).hours('acme', first, second);
  expect(hours).toEqual([
    { at: second, cpuPercent: 80, memoryPercent: 30, dbSizeBytes: 1_000 },
    { at: first, cpuPercent: 70 },
  ]);
  expect(inputs.map(({ NextToken }) => NextToken)).toEqual([undefined, 'more']);
  expect(inputs[0]?.MetricDataQueries?.[0]).toEqual({
    Id: 'cpuPercent',
    MetricStat: {
      Metric: {
        Namespace: 'EtcdNanny/x',
        MetricName: 'CpuPercent',
        Dimensions: [{ Name: 'TenantId', Value: 'acme' }],
      },
      Period: 3_600,
      Stat: 'Maximum',
    },
  });
});
