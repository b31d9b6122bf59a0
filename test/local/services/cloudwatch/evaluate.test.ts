import { describe, expect, test } from 'vitest';
import { evaluate } from '../../../../local/services/cloudwatch/evaluate.ts';
import { Metrics } from '../../../../local/services/cloudwatch/metrics.ts';
import { type MetricAlarm, metricAlarmSchema } from '../../../../local/services/cloudwatch/model.ts';
import { parseRule } from '../../../../local/services/cloudwatch/rule.ts';

const minute = 60_000;
const now = 1_000 * minute;
const alarm = (more: Partial<MetricAlarm> = {}): MetricAlarm =>
  metricAlarmSchema.parse({
    AlarmName: 'a',
    Namespace: 'N',
    MetricName: 'M',
    Statistic: 'Maximum',
    Period: 60,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 3,
    Threshold: 5,
    ComparisonOperator: 'GreaterThanThreshold',
    ...more,
  });

/** One value a minute, the newest last; undefined: none. */
function metrics(...values: (number | undefined)[]): Metrics {
  const of = new Metrics();
  values.forEach((value, n) => {
    if (value === undefined) return;
    const at = now - (values.length - n) * minute + 1;
    of.put({ namespace: 'N', name: 'M', dimensions: {}, value, at });
  });
  return of;
}
const state = (values: (number | undefined)[], more: Partial<MetricAlarm> = {}) =>
  evaluate(alarm(more), metrics(...values), now, 1)?.state;
const none = undefined;

describe('an alarm', () => {
  test('is on when as many of its periods as it wants have crossed the threshold', () => {
    expect(state([9, 9, 9])).toBe('ALARM');
    expect(state([9, 1, 9])).toBe('OK');
    expect(state([9, 1, 9], { DatapointsToAlarm: 2 })).toBe('ALARM');
    expect(state([5, 5, 5])).toBe('OK');
    expect(state([5, 5, 5], { ComparisonOperator: 'GreaterThanOrEqualToThreshold' })).toBe('ALARM');
    expect(state([1, 1, 1], { ComparisonOperator: 'LessThanThreshold' })).toBe('ALARM');
  });

  test('takes the newest data there is when some periods have none', () => {
    expect(state([9, 9, none, 9, none])).toBe('ALARM');
    expect(state([9, 1, none, 9, none])).toBe('OK');
  });

  test('treats missing data as it is told to', () => {
    const treated = (values: (number | undefined)[]) =>
      (['missing', 'ignore', 'breaching', 'notBreaching'] as const).map((TreatMissingData) =>
        state(values, { TreatMissingData }),
      );
    expect(treated([])).toEqual(['INSUFFICIENT_DATA', undefined, 'ALARM', 'OK']);
    expect(treated([9])).toEqual(['ALARM', undefined, 'ALARM', 'OK']);
    expect(treated([1])).toEqual(['OK', undefined, 'OK', 'OK']);
  });

  test('says nothing of the time before its cloud was started: it knows nothing of it', () => {
    const silent = alarm({ TreatMissingData: 'breaching' });
    const since = (minutes: number) => evaluate(silent, metrics(), now, 1, now - minutes * minute)?.state;
    expect([since(2), since(3)]).toEqual([undefined, 'ALARM']);
  });

  test('over several metrics asks for their sum or their greatest', () => {
    const of = new Metrics();
    for (const [name, value] of [
      ['A', 3],
      ['B', 4],
    ] as const) {
      of.put({ namespace: 'N', name, dimensions: {}, value, at: now - 1 });
    }
    const query = (Id: string, MetricName: string) => ({
      Id,
      MetricStat: { Metric: { Namespace: 'N', MetricName }, Period: 60, Stat: 'Maximum' },
      ReturnData: false,
    });
    const over = (Expression: string) =>
      metricAlarmSchema.parse({
        AlarmName: 'a',
        Metrics: [{ Id: 'e', Expression }, query('m0', 'A'), query('m1', 'B')],
        EvaluationPeriods: 1,
        Threshold: 5,
        ComparisonOperator: 'GreaterThanThreshold',
      });
    expect(evaluate(over('SUM(METRICS())'), of, now, 1)?.state).toBe('ALARM');
    expect(evaluate(over('MAX(METRICS())'), of, now, 1)?.state).toBe('OK');
  });

  test('that this cloud does not understand is refused, not silently another one', () => {
    expect(() => alarm({ Statistic: 'p99' as 'Maximum' })).toThrow();
    expect(() => metricAlarmSchema.parse({ ...alarm(), ExtendedStatistic: 'p99' })).toThrow();
  });
});

describe('a rule of a composite alarm', () => {
  const states = { a: 'ALARM', b: 'OK', 'x/y/z': 'ALARM' } as const;
  const holds = (rule: string) => parseRule(rule).holds((name) => states[name as keyof typeof states]);

  test('joins states with AND, OR, NOT and parentheses', () => {
    expect(holds('ALARM("a") OR ALARM("b")')).toBe(true);
    expect(holds('ALARM("a") AND ALARM("b")')).toBe(false);
    expect(holds('(ALARM("a") OR ALARM("b")) AND NOT OK("b")')).toBe(false);
    expect(holds('ALARM("a") OR ALARM("b") AND ALARM("b")')).toBe(true);
    expect(holds('ALARM("arn:aws:cloudwatch:us-east-1:1:alarm:x/y/z")')).toBe(true);
    expect(parseRule('ALARM("a") AND NOT ALARM(b) OR OK(a)').names).toEqual(['a', 'b']);
  });

  test.each(['', 'ALARM("a"', 'BUSY("a")', 'ALARM("a") ALARM("b")', 'ALARM("a") AND'])(
    '%s is none',
    (rule) => {
      expect(() => parseRule(rule)).toThrow('invalid expression');
    },
  );
});
