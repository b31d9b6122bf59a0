import type { Sample } from './emf.ts';

export type Statistic = 'Minimum' | 'Maximum' | 'Sum' | 'Average' | 'SampleCount';

export interface MetricOf {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** CloudWatch keeps what is finer than a minute for three hours; nobody here asks for what is older. */
const keptMs = 3 * 3_600_000;

/** Samples as they came, by metric. They do not survive a stop: what matters is told again within two minutes. */
export class Metrics {
  readonly #samples = new Map<string, { at: number; value: number }[]>();

  put({ at, value, ...metric }: Sample): void {
    const key = keyOf(metric);
    const samples = this.#samples.get(key) ?? [];
    this.#samples.set(key, samples);
    samples.push({ at, value });
    while (samples.length > 0 && samples[0]!.at < at - keptMs) samples.shift();
  }

  /** Over `from <= at < to`; undefined without any sample. */
  over(metric: MetricOf, statistic: Statistic, from: number, to: number): number | undefined {
    const values = (this.#samples.get(keyOf(metric)) ?? [])
      .filter(({ at }) => at >= from && at < to)
      .map(({ value }) => value);
    if (values.length === 0) return undefined;
    const sum = values.reduce((total, value) => total + value, 0);
    switch (statistic) {
      case 'Minimum':
        return Math.min(...values);
      case 'Maximum':
        return Math.max(...values);
      case 'Sum':
        return sum;
      case 'Average':
        return sum / values.length;
      case 'SampleCount':
        return values.length;
    }
  }
}

const keyOf = ({ namespace, name, dimensions }: MetricOf): string =>
  JSON.stringify([namespace, name, ...Object.entries(dimensions).sort()]);
