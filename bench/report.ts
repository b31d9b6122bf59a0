/** One thing measured in both ways, in turns in one run on one machine: milliseconds of each run. */
export interface Comparison {
  readonly what: string;
  readonly product: readonly number[];
  readonly hand: readonly number[];
  /** Design section 13, where it sets one. */
  readonly budget?: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

const ms = (value: number): string => `${Math.round(value).toLocaleString('en')} ms`;
const range = (values: readonly number[]): string =>
  `${ms(median(values))} (${ms(Math.min(...values))} to ${ms(Math.max(...values))})`;

export const verdict = (value: number, budget: number): string => (value <= budget ? 'within' : 'OVER');

/** Medians, ranges and their ratio, in words. */
export function describeComparison({ what, product, hand, budget }: Comparison): string {
  const ratio = median(product) / median(hand);
  return [
    `${what}, ${product.length} runs each, median (from to):`,
    `  etcd-nanny  ${range(product)}`,
    `  by hand     ${range(hand)}`,
    `  ratio       ${ratio.toFixed(2)} x${budget === undefined ? '' : `, budget ${budget.toFixed(1)} x: ${verdict(ratio, budget)}`}`,
  ].join('\n');
}
