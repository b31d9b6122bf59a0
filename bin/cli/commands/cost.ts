import type { SizeClass } from '../../../lambdas/core/model/spec.ts';
import { sizeClasses } from '../../../lambdas/core/model/spec.ts';
import type { CommonOptions } from '../context.ts';
import { examples } from '../context.ts';
import { type CostInput, type Estimate, estimateCost, type Line } from '../cost/estimate.ts';
import { UsageError } from '../errors.ts';
import { plural, table } from '../format.ts';
import { gibibytes, mebibytes, wholeNumber } from '../values.ts';
import type { Define } from './index.ts';

/** One small tenant as `nanny create` makes it, that nobody writes to. */
export const defaultCostInput: CostInput = {
  tenants: 1,
  members: 3,
  size: 'small',
  volume: 'ebs',
  storageGiB: 10,
  cells: 1,
  egress: 'endpoints',
  writesPerSecond: 0,
  valueBytes: 1_024,
  databaseMiB: 100,
};

interface CostOptions extends CommonOptions {
  readonly tenants?: number;
  readonly members?: number;
  readonly size?: string;
  readonly volume?: string;
  readonly storage?: number;
  readonly cells?: number;
  readonly nat?: boolean;
  readonly writes?: number;
  readonly valueBytes?: number;
  readonly database?: number;
}

/** Needs no deployment: it calculates. */
export function defineCost(define: Define): void {
  define<CostOptions>(
    'cost',
    (command) =>
      command
        .description('what a deployment costs a month, from list prices and metered calls')
        .option('--tenants <n>', 'how many clusters (default 1)', wholeNumber)
        .option('--members <n>', 'of each: 1, 3 or 5 (default 3)', wholeNumber)
        .option('--size <class>', `${Object.keys(sizeClasses).join(', ')} (default small)`)
        .option('--volume <kind>', 'ebs or ephemeral (default ebs)')
        .option('--storage <GiB>', 'disk of a member (default 10; ephemeral 21)', gibibytes)
        .option('--cells <n>', 'data-plane units (default 1)', wholeNumber)
        .option('--nat', 'NAT gateways instead of interface endpoints')
        .option('--writes <n>', 'writes a second of each tenant (default 0)', wholeNumber)
        .option('--value-bytes <n>', 'of each write (default 1024)', wholeNumber)
        .option('--database <MiB>', 'size of each database (default 100)', mebibytes)
        .addHelpText(
          'after',
          examples('cost --tenants 50 --size small', 'cost --tenants 200 --members 5 --writes 100 --json'),
        ),
    async (context, options) => {
      const estimate = estimateCost(inputOf(options));
      context.print(estimate, () => costLines(estimate));
    },
  );
}

/** @throws UsageError that names the option and what it takes */
export function inputOf(options: CostOptions): CostInput {
  const size = oneOf('--size', options.size ?? 'small', Object.keys(sizeClasses)) as SizeClass;
  const volume = oneOf('--volume', options.volume ?? 'ebs', ['ebs', 'ephemeral']) as CostInput['volume'];
  const members = Number(oneOf('--members', String(options.members ?? 3), ['1', '3', '5']));
  const smallest = volume === 'ebs' ? 5 : 21;
  return {
    ...defaultCostInput,
    size,
    volume,
    members: members as CostInput['members'],
    tenants: between('--tenants', options.tenants ?? 1, 0, 100_000),
    storageGiB: between('--storage', options.storage ?? (volume === 'ebs' ? 10 : 21), smallest, 200),
    cells: between('--cells', options.cells ?? 1, 1, 8),
    egress: options.nat ? 'nat' : 'endpoints',
    writesPerSecond: between('--writes', options.writes ?? 0, 0, 50_000),
    valueBytes: between('--value-bytes', options.valueBytes ?? 1_024, 1, 1_572_864),
    databaseMiB: between('--database', options.database ?? 100, 1, 8_192),
  };
}

function oneOf(option: string, value: string, allowed: readonly string[]): string {
  if (!allowed.includes(value))
    throw new UsageError(
      `${option} takes ${allowed.slice(0, -1).join(', ')} or ${allowed.at(-1)}, not ${value}.`,
    );
  return value;
}

function between(option: string, value: number, least: number, most: number): number {
  if (value < least || value > most)
    throw new UsageError(`${option} takes a number from ${least} to ${most}, not ${value}.`);
  return value;
}

const usd = (value: number): string =>
  `$${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;

function costLines({
  input,
  total,
  fixed,
  perTenant,
  controlPlanePerTenant,
  pricesAsOf,
  region,
}: Estimate): string[] {
  const { tenants, members, size } = input;
  const block = (title: string, lines: readonly Line[], sum: number): string[] => [
    title,
    ...table(
      ['  ', 'USD', ''],
      [...lines, { what: 'together', usd: sum, of: '' }].map((line) => [
        `  ${line.what}`,
        usd(line.usd).padStart(10),
        line.of,
      ]),
    ).slice(1),
  ];
  return [
    `${plural(tenants, 'tenant')} of ${plural(members, 'member')}, ${size}: about ${usd(total)} a month`,
    '',
    ...block('Whatever the number of tenants', fixed.lines, fixed.usd),
    '',
    ...block('Each tenant', perTenant.lines, perTenant.usd),
    '',
    `The control plane's own work for a tenant that nobody uses: ${usd(controlPlanePerTenant)}.`,
    `List prices of ${region}, ${pricesAsOf}, without free tiers and discounts; other Regions cost up to twice as much.`,
    'What is assumed and what is metered: docs/cost.md.',
  ];
}
