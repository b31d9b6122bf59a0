import * as z from 'zod';
import { type Authorization, AwsError, type JsonService } from '../../aws/service.ts';
import type { Alarms } from './alarms.ts';
import { statOf } from './evaluate.ts';
import type { Metrics } from './metrics.ts';
import {
  compositeAlarmSchema,
  type KnownAlarm,
  metricAlarmSchema,
  metricQuerySchema,
  states,
} from './model.ts';

const timeSchema = z
  .union([z.number(), z.string()])
  .transform((at) => (typeof at === 'number' ? at * 1000 : Date.parse(at)));

const requests = {
  PutMetricData: z.strictObject({
    Namespace: z.string().regex(/^(?!AWS\/)/, 'must not begin with AWS/'),
    MetricData: z
      .array(
        z.strictObject({
          MetricName: z.string(),
          Dimensions: z.array(z.strictObject({ Name: z.string(), Value: z.string() })).default([]),
          Timestamp: timeSchema.optional(),
          Value: z.number(),
          Unit: z.string().optional(),
        }),
      )
      .max(1000),
  }),
  GetMetricData: z.strictObject({
    MetricDataQueries: z.array(metricQuerySchema).min(1).max(500),
    StartTime: timeSchema,
    EndTime: timeSchema,
    ScanBy: z.enum(['TimestampAscending', 'TimestampDescending']).default('TimestampDescending'),
    MaxDatapoints: z.number().optional(),
  }),
  PutMetricAlarm: metricAlarmSchema,
  PutCompositeAlarm: compositeAlarmSchema,
  DescribeAlarms: z.strictObject({
    AlarmNames: z.array(z.string()).max(100).optional(),
    AlarmNamePrefix: z.string().optional(),
    AlarmTypes: z.array(z.enum(['MetricAlarm', 'CompositeAlarm'])).default(['MetricAlarm']),
    StateValue: z.enum(states).optional(),
    MaxRecords: z.int().min(1).max(100).default(50),
    NextToken: z.string().optional(),
  }),
  DeleteAlarms: z.strictObject({ AlarmNames: z.array(z.string()).min(1).max(100) }),
  SetAlarmState: z.strictObject({
    AlarmName: z.string(),
    StateValue: z.enum(states),
    StateReason: z.string().max(1023),
    StateReasonData: z.string().optional(),
  }),
};
type Requests = { [Name in keyof typeof requests]: z.infer<(typeof requests)[Name]> };
type Handlers = { [Name in keyof Requests]: (input: Requests[Name]) => unknown };

/** Alarms by their names; metrics know no resource. */
export function cloudWatchService(alarms: Alarms, metrics: Metrics, now: () => number): JsonService {
  const resources: { [Name in keyof Requests]: (input: Requests[Name]) => readonly string[] } = {
    PutMetricData: () => ['*'],
    GetMetricData: () => ['*'],
    PutMetricAlarm: ({ AlarmName }) => [alarms.arn(AlarmName)],
    PutCompositeAlarm: ({ AlarmName }) => [alarms.arn(AlarmName)],
    // A prefix says nothing of which alarms there are: AWS wants the right to all of them.
    DescribeAlarms: ({ AlarmNames }) => AlarmNames?.map((name) => alarms.arn(name)) ?? [alarms.arn('*')],
    DeleteAlarms: ({ AlarmNames }) => AlarmNames.map((name) => alarms.arn(name)),
    SetAlarmState: ({ AlarmName }) => [alarms.arn(AlarmName)],
  };
  const handlers: Handlers = {
    PutMetricData({ Namespace, MetricData }) {
      for (const { MetricName, Dimensions, Timestamp, Value } of MetricData) {
        const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value: value }) => [Name, value]));
        metrics.put({
          namespace: Namespace,
          name: MetricName,
          dimensions,
          value: Value,
          at: Timestamp ?? now(),
        });
      }
      return {};
    },
    GetMetricData: (input) => ({ MetricDataResults: dataOf(input, metrics), Messages: [] }),
    PutMetricAlarm: (alarm) => alarms.putMetric(alarm),
    PutCompositeAlarm: (alarm) => alarms.putComposite(alarm),
    DescribeAlarms: (input) => describe(input, alarms.all()),
    DeleteAlarms: ({ AlarmNames }) => alarms.delete(AlarmNames),
    SetAlarmState: ({ AlarmName, StateValue, StateReason }) =>
      alarms.set(AlarmName, { state: StateValue, reason: StateReason }),
  };
  const operation = <Name extends keyof Requests>(name: Name) => ({
    authorize(raw: unknown): Authorization[] {
      const input = parse(requests[name] as unknown as z.ZodType<Requests[Name]>, raw);
      const context =
        name === 'PutMetricData'
          ? { context: { 'cloudwatch:namespace': (input as Requests['PutMetricData']).Namespace } }
          : {};
      return resources[name](input).map((resource) => ({
        action: `cloudwatch:${name}`,
        resource,
        ...context,
      }));
    },
    run: async (raw: unknown) =>
      handlers[name](parse(requests[name] as unknown as z.ZodType<Requests[Name]>, raw)) ?? {},
  });
  return {
    kind: 'json',
    name: 'monitoring',
    targetPrefix: 'GraniteServiceVersion20100801',
    jsonVersion: '1.0',
    operations: Object.fromEntries(
      (Object.keys(requests) as (keyof Requests)[]).map((name) => [name, operation(name)]),
    ),
  };
}

function dataOf(
  { MetricDataQueries, StartTime, EndTime, ScanBy }: Requests['GetMetricData'],
  metrics: Metrics,
): unknown[] {
  return MetricDataQueries.filter(({ ReturnData }) => ReturnData).map(({ Id, Label, MetricStat }) => {
    if (MetricStat === undefined) throw invalid(`${Id}: the local cloud answers no expressions`);
    const periodMs = MetricStat.Period * 1000;
    const points: { at: number; value: number }[] = [];
    for (let at = Math.floor(StartTime / periodMs) * periodMs; at < EndTime; at += periodMs) {
      const value = statOf(MetricStat, metrics, at, at + periodMs);
      if (value !== undefined) points.push({ at, value });
    }
    if (ScanBy === 'TimestampDescending') points.reverse();
    return {
      Id,
      Label: Label ?? MetricStat.Metric.MetricName,
      Timestamps: points.map(({ at }) => at / 1000),
      Values: points.map(({ value }) => value),
      StatusCode: 'Complete',
    };
  });
}

function describe(input: Requests['DescribeAlarms'], all: readonly KnownAlarm[]): unknown {
  const { AlarmNames, AlarmNamePrefix = '', AlarmTypes, StateValue, MaxRecords, NextToken = '' } = input;
  const found = all.filter(
    ({ kind, alarm: { AlarmName }, state }) =>
      (AlarmNames?.includes(AlarmName) ?? AlarmName.startsWith(AlarmNamePrefix)) &&
      AlarmTypes.includes(kind === 'metric' ? 'MetricAlarm' : 'CompositeAlarm') &&
      (StateValue === undefined || state === StateValue) &&
      AlarmName > NextToken,
  );
  const page = found.slice(0, MaxRecords);
  const shown = (kind: KnownAlarm['kind']) =>
    page
      .filter((known) => known.kind === kind)
      .map(({ alarm, arn, state, reason, stateAt, updatedAt }) => ({
        ...alarm,
        AlarmArn: arn,
        StateValue: state,
        StateReason: reason,
        StateUpdatedTimestamp: stateAt / 1000,
        AlarmConfigurationUpdatedTimestamp: updatedAt / 1000,
      }));
  return {
    MetricAlarms: shown('metric'),
    CompositeAlarms: shown('composite'),
    ...(found.length > page.length && { NextToken: page.at(-1)?.alarm.AlarmName }),
  };
}

export function parse<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw invalid(z.prettifyError(parsed.error));
}

const invalid = (message: string): AwsError => new AwsError('ValidationError', message);
