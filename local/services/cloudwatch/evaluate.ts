import type { Metrics } from './metrics.ts';
import { type MetricAlarm, type MetricQuery, type MetricStat, queriesOf, type State } from './model.ts';

/** Beyond the periods that count, CloudWatch looks at some more for data that came late or not at all. */
const furtherPeriods = 2;

export interface Verdict {
  readonly state: State;
  readonly reason: string;
}

/**
 * What the alarm's metric says now, by the rules of "Configuring how CloudWatch alarms treat missing data". undefined: it stays
 * as it is.
 *
 * @param speed how many seconds of the alarm's periods pass in one: for tests of alarms that take minutes
 * @param since when this cloud was started: of the time before it knows nothing, which is not the same as that there was nothing
 */
export function evaluate(
  alarm: MetricAlarm,
  metrics: Metrics,
  now: number,
  speed: number,
  since = 0,
): Verdict | undefined {
  if (since > endOf(alarm, now, speed) - alarm.EvaluationPeriods * periodOf(alarm, speed)) return undefined;
  const points = dataPoints(alarm, metrics, now, speed);
  const wanted = alarm.DatapointsToAlarm ?? alarm.EvaluationPeriods;
  const real = points.filter((point) => point !== undefined).slice(0, alarm.EvaluationPeriods);
  const missing = alarm.EvaluationPeriods - real.length;
  const breaching = real.filter((point) => isBreaching(alarm, point)).length;
  const told = (state: State): Verdict => ({ state, reason: reasonOf(alarm, real, breaching, state) });
  if (missing === 0) return told(breaching >= wanted ? 'ALARM' : 'OK');
  switch (alarm.TreatMissingData) {
    case 'breaching':
      return told(breaching + missing >= wanted ? 'ALARM' : 'OK');
    case 'notBreaching':
      return told(breaching >= wanted ? 'ALARM' : 'OK');
    case 'ignore':
      return breaching >= wanted ? told('ALARM') : undefined;
    case 'missing':
      if (real.length === 0) return told('INSUFFICIENT_DATA');
      return told(breaching >= wanted || breaching === real.length ? 'ALARM' : 'OK');
  }
}

const periodOf = (alarm: MetricAlarm, speed: number): number =>
  (Math.max(...queriesOf(alarm).map((query) => query.MetricStat?.Period ?? 0)) * 1000) / speed;

/** End of the last whole period. */
const endOf = (alarm: MetricAlarm, now: number, speed: number): number =>
  Math.floor(now / periodOf(alarm, speed)) * periodOf(alarm, speed);

/** Newest first, of whole periods only; undefined where there is none. */
function dataPoints(
  alarm: MetricAlarm,
  metrics: Metrics,
  now: number,
  speed: number,
): (number | undefined)[] {
  const queries = queriesOf(alarm);
  const periodMs = periodOf(alarm, speed);
  const end = endOf(alarm, now, speed);
  return Array.from({ length: alarm.EvaluationPeriods + furtherPeriods }, (_, back) =>
    pointOf(queries, metrics, end - (back + 1) * periodMs, end - back * periodMs),
  );
}

function pointOf(
  queries: readonly MetricQuery[],
  metrics: Metrics,
  from: number,
  to: number,
): number | undefined {
  const asked = queries.find(({ ReturnData }) => ReturnData);
  if (asked?.MetricStat !== undefined) return statOf(asked.MetricStat, metrics, from, to);
  const values = queries
    .flatMap(({ MetricStat }) => (MetricStat ? [statOf(MetricStat, metrics, from, to)] : []))
    .filter((value) => value !== undefined);
  if (values.length === 0) return undefined;
  return asked?.Expression === 'MAX(METRICS())'
    ? Math.max(...values)
    : values.reduce((total, value) => total + value, 0);
}

export function statOf(
  { Metric, Stat }: MetricStat,
  metrics: Metrics,
  from: number,
  to: number,
): number | undefined {
  const dimensions = Object.fromEntries(Metric.Dimensions.map(({ Name, Value }) => [Name, Value]));
  return metrics.over({ namespace: Metric.Namespace, name: Metric.MetricName, dimensions }, Stat, from, to);
}

function isBreaching({ ComparisonOperator, Threshold }: MetricAlarm, point: number): boolean {
  switch (ComparisonOperator) {
    case 'GreaterThanOrEqualToThreshold':
      return point >= Threshold;
    case 'GreaterThanThreshold':
      return point > Threshold;
    case 'LessThanThreshold':
      return point < Threshold;
    case 'LessThanOrEqualToThreshold':
      return point <= Threshold;
  }
}

function reasonOf(alarm: MetricAlarm, real: readonly number[], breaching: number, state: State): string {
  if (state === 'INSUFFICIENT_DATA') return 'Insufficient Data: no datapoints were received.';
  return `${breaching} of ${alarm.EvaluationPeriods} datapoints [${real.join(', ')}] crossed the threshold (${alarm.ComparisonOperator} ${alarm.Threshold}).`;
}
