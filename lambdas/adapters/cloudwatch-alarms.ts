import {
  CloudWatchClient,
  type CompositeAlarm,
  DeleteAlarmsCommand,
  type MetricAlarm as DescribedAlarm,
  PutCompositeAlarmCommand,
  type PutCompositeAlarmCommandInput,
  PutMetricAlarmCommand,
  type PutMetricAlarmCommandInput,
  paginateDescribeAlarms,
  ResourceNotFound,
} from '@aws-sdk/client-cloudwatch';
import {
  type AlarmSettings,
  type AlarmsOf,
  alarmNamePrefix,
  type MetricAlarm,
  statisticOf,
  tenantOfAlarmName,
} from '../core/alarms.ts';
import { tenantDimension } from '../core/metrics.ts';
import type { TenantAlarms } from '../core/ports.ts';

export interface CloudWatchAlarmsOptions {
  readonly settings: AlarmSettings;
  readonly namespace: string;
  readonly client?: CloudWatchClient;
}

interface Found {
  readonly metric: readonly DescribedAlarm[];
  readonly composite: readonly CompositeAlarm[];
}

export class CloudWatchAlarms implements TenantAlarms {
  readonly #settings: AlarmSettings;
  readonly #namespace: string;
  readonly #client: CloudWatchClient;

  constructor({ settings, namespace, client = new CloudWatchClient() }: CloudWatchAlarmsOptions) {
    this.#settings = settings;
    this.#namespace = namespace;
    this.#client = client;
  }

  async ensure(tenantId: string, wanted: AlarmsOf | undefined): Promise<number> {
    const found = await this.#find(`${alarmNamePrefix(this.#settings.deploymentName)}${tenantId}/`);
    let changed = 0;
    // Metrics before the composite that names them, at the making; the other way round at the end.
    const kept = new Set([wanted?.composite.name, ...(wanted?.metric ?? []).map(({ name }) => name)]);
    for (const { AlarmName } of found.composite) {
      if (!kept.has(AlarmName)) changed += await this.#delete([AlarmName!]);
    }
    for (const alarm of wanted?.metric ?? []) {
      const input = this.#metricInput(tenantId, alarm);
      if (isAs(found.metric, input)) continue;
      await this.#client.send(new PutMetricAlarmCommand(input));
      changed += 1;
    }
    if (wanted !== undefined) {
      const input = this.#compositeInput(wanted.composite);
      if (!isAs(found.composite, input)) {
        await this.#client.send(new PutCompositeAlarmCommand(input));
        changed += 1;
      }
    }
    const left = found.metric.map(({ AlarmName }) => AlarmName!).filter((name) => !kept.has(name));
    if (left.length > 0) changed += await this.#delete(left);
    return changed;
  }

  async tenants(): Promise<string[]> {
    const { deploymentName } = this.#settings;
    const { metric, composite } = await this.#find(alarmNamePrefix(deploymentName));
    const ids = [...metric, ...composite].flatMap(
      ({ AlarmName = '' }) => tenantOfAlarmName(deploymentName, AlarmName) ?? [],
    );
    return [...new Set(ids)].sort();
  }

  async #find(prefix: string): Promise<Found> {
    const metric: DescribedAlarm[] = [];
    const composite: CompositeAlarm[] = [];
    const pages = paginateDescribeAlarms(
      { client: this.#client, pageSize: 100 },
      { AlarmNamePrefix: prefix, AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] },
    );
    for await (const { MetricAlarms = [], CompositeAlarms = [] } of pages) {
      metric.push(...MetricAlarms);
      composite.push(...CompositeAlarms);
    }
    return { metric, composite };
  }

  /** Gone already, by another look: as good as deleted. */
  async #delete(names: string[]): Promise<number> {
    try {
      await this.#client.send(new DeleteAlarmsCommand({ AlarmNames: names }));
      return names.length;
    } catch (error) {
      if (error instanceof ResourceNotFound) return 0;
      throw error;
    }
  }

  #metricInput(tenantId: string, alarm: MetricAlarm) {
    const { name, description, metric, above, below, periodSeconds, periods } = alarm;
    return {
      AlarmName: name,
      AlarmDescription: description,
      Namespace: this.#namespace,
      MetricName: metric,
      Dimensions: [{ Name: tenantDimension, Value: tenantId }],
      Statistic: statisticOf(alarm),
      Period: periodSeconds,
      EvaluationPeriods: periods,
      DatapointsToAlarm: periods,
      ComparisonOperator: above === undefined ? 'LessThanThreshold' : 'GreaterThanThreshold',
      Threshold: above ?? below ?? 0,
      // Nobody looks any more: an alarm of the fleet tells that once, not each tenant's.
      TreatMissingData: 'missing',
    } as const satisfies PutMetricAlarmCommandInput;
  }

  #compositeInput({ name, description, rule }: AlarmsOf['composite']) {
    const { topicArn } = this.#settings;
    return {
      AlarmName: name,
      AlarmDescription: description,
      AlarmRule: rule,
      AlarmActions: [topicArn],
      OKActions: [topicArn],
    } satisfies PutCompositeAlarmCommandInput;
  }
}

/** Whether what is there has every property as it is to be. What else CloudWatch tells of it does not matter. */
function isAs(found: readonly object[], wanted: { readonly AlarmName: string }): boolean {
  const one = found.find((alarm) => (alarm as { AlarmName?: string }).AlarmName === wanted.AlarmName);
  return (
    one !== undefined &&
    Object.entries(wanted).every(
      ([key, value]) => JSON.stringify((one as Record<string, unknown>)[key]) === JSON.stringify(value),
    )
  );
}
