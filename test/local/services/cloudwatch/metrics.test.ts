import { expect, test } from 'vitest';
import { Metrics } from '../../../../local/services/cloudwatch/metrics.ts';

const hour = 3_600_000;
const metric = { namespace: 'N', name: 'M', dimensions: {} };
const start = 1_000 * hour;

function told(...samples: readonly (readonly [at: number, value: number])[]): Metrics {
  const metrics = new Metrics();
  for (const [at, value] of samples) metrics.put({ ...metric, at, value });
  return metrics;
}
const statistics = ['Minimum', 'Maximum', 'Sum', 'Average', 'SampleCount'] as const;
const of = (metrics: Metrics, from: number, to: number) =>
  statistics.map((statistic) => metrics.over(metric, statistic, from, to));

test('what is older than three hours is kept by the hour, for 15 days', () => {
  const metrics = told(
    [start + 1, 1],
    [start + 2, 3],
    [start + hour + 5, 7],
    [start + 5 * hour, 9],
    [start + 5 * hour + 1, 11],
  );
  expect(of(metrics, start, start + hour)).toEqual([1, 3, 4, 2, 2]);
  expect(of(metrics, start, start + 2 * hour)).toEqual([1, 7, 11, 11 / 3, 3]);
  expect(of(metrics, start, start + 6 * hour)).toEqual([1, 11, 31, 31 / 5, 5]);
  // Not by the second any more: the hour counts where it begins.
  expect(of(metrics, start + hour + 1, start + 2 * hour)).toEqual(statistics.map(() => undefined));
  metrics.put({ ...metric, at: start + 370 * hour, value: 0 });
  expect(metrics.over(metric, 'Sum', start, start + 6 * hour)).toBeUndefined();
});

test('hours that are said to have passed have passed for all that was told', () => {
  const metrics = told([start, 1], [start + 5 * hour, 9]);
  metrics.age(24);
  expect(metrics.over(metric, 'Sum', start - 24 * hour, start - 23 * hour)).toBe(1);
  expect(metrics.over(metric, 'Sum', start - 19 * hour, start - 18 * hour)).toBe(9);
  expect(metrics.over(metric, 'Sum', start, start + 6 * hour)).toBeUndefined();
});
