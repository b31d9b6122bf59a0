import { CloudWatchClient, GetMetricDataCommand, type MetricDataQuery } from '@aws-sdk/client-cloudwatch';
import type { HourlyLoad } from '../core/autoscale.ts';
import { type TenantMetric, tenantDimension, tenantMetrics } from '../core/metrics.ts';
import type { LoadHistory } from '../core/size-advice.ts';
import { callAws, clientDefaults } from './aws-errors.ts';

const fields = {
  CpuPercent: 'cpuPercent',
  MemoryPercent: 'memoryPercent',
  DbSizeBytes: 'dbSizeBytes',
} as const satisfies Partial<Record<TenantMetric, keyof HourlyLoad>>;

const period = 3_600;

/**
 * What tenants' members used, by the hour.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | hours | cloudwatch:GetMetricData | `*`: metrics have no ARN |
 */
export class CloudWatchLoads implements LoadHistory {
  readonly #client: CloudWatchClient;
  readonly #namespace: string;

  constructor({ namespace, client }: { readonly namespace: string; readonly client?: CloudWatchClient }) {
    this.#namespace = namespace;
    this.#client = client ?? new CloudWatchClient(clientDefaults);
  }

  async hours(tenantId: string, from: Date, to: Date): Promise<HourlyLoad[]> {
    const hours = new Map<number, HourlyLoad>();
    let NextToken: string | undefined;
    do {
      const command = new GetMetricDataCommand({
        MetricDataQueries: this.#queries(tenantId),
        StartTime: from,
        EndTime: to,
        NextToken,
      });
      const answer = await callAws('cloudwatch:GetMetricData', () => this.#client.send(command));
      for (const { Id, Timestamps = [], Values = [] } of answer.MetricDataResults ?? []) {
        const field = Object.entries(fields).find(([metric]) => idOf(metric) === Id)?.[1];
        if (field === undefined) continue;
        for (const [index, at] of Timestamps.entries()) {
          const value = Values[index];
          if (value === undefined || !Number.isFinite(value)) continue;
          hours.set(at.getTime(), { ...(hours.get(at.getTime()) ?? { at }), [field]: value });
        }
      }
      NextToken = answer.NextToken;
    } while (NextToken !== undefined);
    return [...hours.values()];
  }

  #queries(tenantId: string): MetricDataQuery[] {
    return (Object.keys(fields) as (keyof typeof fields)[]).map((metric) => ({
      Id: idOf(metric),
      MetricStat: {
        Metric: {
          Namespace: this.#namespace,
          MetricName: metric,
          Dimensions: [{ Name: tenantDimension, Value: tenantId }],
        },
        Period: period,
        Stat: tenantMetrics[metric].worst,
      },
    }));
  }
}

/** Ids begin with a small letter. */
const idOf = (metric: string): string => metric[0]!.toLowerCase() + metric.slice(1);
