import type { Sample } from './emf.ts';

export type Statistic = 'Minimum' | 'Maximum' | 'Sum' | 'Average' | 'SampleCount';

export interface MetricOf {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** What is known of samples that are no longer kept one by one. */
interface Summary {
  readonly at: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly count: number;
}

interface Series {
  /** In the order in which they came. */
  recent: Summary[];
  /** By their beginning. */
  hours: Map<number, Summary>;
}

const hourMs = 3_600_000;
/** CloudWatch keeps what is finer than a minute for three hours, minutes for 15 days; nobody here asks for minutes of yesterday. */
const keptMs = 3 * hourMs;
const keptHours = 15 * 24;

/** Samples as they came, by metric; older ones by the hour. They do not survive a stop: alarms are told again within two minutes. */
export class Metrics {
  readonly #series = new Map<string, Series>();

  put({ at, value, ...metric }: Sample): void {
    const key = keyOf(metric);
    const series = this.#series.get(key) ?? noSeries();
    this.#series.set(key, series);
    series.recent.push({ at, min: value, max: value, sum: value, count: 1 });
    for (let first = series.recent[0]!; first.at < at - keptMs; first = series.recent[0]!) {
      series.recent.shift();
      const hour = Math.floor(first.at / hourMs) * hourMs;
      series.hours.set(hour, { ...together([first, ...known(series.hours.get(hour))]), at: hour });
    }
    for (const hour of series.hours.keys()) if (hour < at - keptHours * hourMs) series.hours.delete(hour);
  }

  /** Time lapse for tests: all that was told until now is so many hours older. */
  age(hours: number): void {
    const earlier = (summary: Summary): Summary => ({ ...summary, at: summary.at - hours * hourMs });
    for (const series of this.#series.values()) {
      series.recent = series.recent.map(earlier);
      series.hours = new Map([...series.hours.values()].map(earlier).map((hour) => [hour.at, hour]));
    }
  }

  /** Over `from <= at < to`; undefined without any sample. */
  over(metric: MetricOf, statistic: Statistic, from: number, to: number): number | undefined {
    const { recent, hours } = this.#series.get(keyOf(metric)) ?? noSeries();
    const found = [...recent, ...hours.values()].filter(({ at }) => at >= from && at < to);
    if (found.length === 0) return undefined;
    const { min, max, sum, count } = together(found);
    return { Minimum: min, Maximum: max, Sum: sum, Average: sum / count, SampleCount: count }[statistic];
  }
}

const noSeries = (): Series => ({ recent: [], hours: new Map() });

const known = <T>(value: T | undefined): T[] => (value === undefined ? [] : [value]);

const together = (all: readonly Summary[]): Omit<Summary, 'at'> => ({
  min: Math.min(...all.map(({ min }) => min)),
  max: Math.max(...all.map(({ max }) => max)),
  sum: all.reduce((total, { sum }) => total + sum, 0),
  count: all.reduce((total, { count }) => total + count, 0),
});

const keyOf = ({ namespace, name, dimensions }: MetricOf): string =>
  JSON.stringify([namespace, name, ...Object.entries(dimensions).sort()]);
