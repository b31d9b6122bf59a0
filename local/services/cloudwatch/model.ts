import * as z from 'zod';

/** What this cloud knows of CloudWatch's alarms; anything else in a request is refused instead of silently ignored. */

const dimensionsSchema = z.array(z.strictObject({ Name: z.string(), Value: z.string() })).default([]);
const statisticSchema = z.enum(['Minimum', 'Maximum', 'Sum', 'Average', 'SampleCount']);
const periodSchema = z.coerce.number().pipe(z.int().multipleOf(60));

export const metricStatSchema = z.strictObject({
  Metric: z.strictObject({ Namespace: z.string(), MetricName: z.string(), Dimensions: dimensionsSchema }),
  Period: periodSchema,
  Stat: statisticSchema,
  Unit: z.string().optional(),
});
export type MetricStat = z.infer<typeof metricStatSchema>;

export const metricQuerySchema = z
  .strictObject({
    Id: z.string().regex(/^[a-z][a-zA-Z0-9_]*$/),
    MetricStat: metricStatSchema.optional(),
    /** `SUM(METRICS())` or `MAX(METRICS())`, over all that are metrics. */
    Expression: z.enum(['SUM(METRICS())', 'MAX(METRICS())']).optional(),
    Period: periodSchema.optional(),
    Label: z.string().optional(),
    ReturnData: z.coerce.boolean().default(true),
    AccountId: z.string().optional(),
  })
  .refine((query) => (query.MetricStat === undefined) !== (query.Expression === undefined), {
    message: 'must have either MetricStat or Expression',
  });
export type MetricQuery = z.infer<typeof metricQuerySchema>;

const common = {
  AlarmName: z.string().min(1).max(255),
  AlarmDescription: z.string().max(1024).optional(),
  ActionsEnabled: z.coerce.boolean().default(true),
  AlarmActions: z.array(z.string()).max(5).default([]),
  OKActions: z.array(z.string()).max(5).default([]),
  InsufficientDataActions: z.array(z.string()).max(5).default([]),
};

export const metricAlarmSchema = z
  .strictObject({
    ...common,
    Namespace: z.string().optional(),
    MetricName: z.string().optional(),
    Dimensions: dimensionsSchema,
    Statistic: statisticSchema.optional(),
    Period: periodSchema.optional(),
    Unit: z.string().optional(),
    Metrics: z.array(metricQuerySchema).max(20).optional(),
    EvaluationPeriods: z.coerce.number().pipe(z.int().min(1)),
    DatapointsToAlarm: z.coerce.number().pipe(z.int().min(1)).optional(),
    Threshold: z.coerce.number(),
    ComparisonOperator: z.enum([
      'GreaterThanOrEqualToThreshold',
      'GreaterThanThreshold',
      'LessThanThreshold',
      'LessThanOrEqualToThreshold',
    ]),
    TreatMissingData: z.enum(['breaching', 'notBreaching', 'ignore', 'missing']).default('missing'),
  })
  .refine((alarm) => (alarm.DatapointsToAlarm ?? 1) <= alarm.EvaluationPeriods, {
    message: 'DatapointsToAlarm is more than EvaluationPeriods',
  })
  .refine((alarm) => (alarm.Metrics === undefined) !== (alarm.MetricName === undefined), {
    message: 'must have either MetricName or Metrics',
  });
export type MetricAlarm = z.infer<typeof metricAlarmSchema>;

export const compositeAlarmSchema = z.strictObject({ ...common, AlarmRule: z.string().max(10_240) });
export type CompositeAlarm = z.infer<typeof compositeAlarmSchema>;

export const states = ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const;
export type State = (typeof states)[number];

interface Known {
  readonly arn: string;
  state: State;
  reason: string;
  /** Milliseconds since 1970. */
  stateAt: number;
  updatedAt: number;
}
export type KnownAlarm =
  | ({ readonly kind: 'metric'; alarm: MetricAlarm } & Known)
  | ({ readonly kind: 'composite'; alarm: CompositeAlarm } & Known);

/** All metrics of an alarm as queries, the one that counts marked by ReturnData. */
export function queriesOf(alarm: MetricAlarm): MetricQuery[] {
  if (alarm.Metrics !== undefined) return alarm.Metrics;
  const { Namespace = '', MetricName = '', Dimensions, Period = 60, Statistic = 'Average' } = alarm;
  const Metric = { Namespace, MetricName, Dimensions };
  return [{ Id: 'm1', MetricStat: { Metric, Period, Stat: Statistic }, ReturnData: true }];
}
