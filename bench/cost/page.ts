import { defaultCostInput } from '../../bin/cli/commands/cost.ts';
import { assumptions } from '../../bin/cli/cost/assumptions.ts';
import { controlPlaneLines, estimateCost, type Line, type Metered } from '../../bin/cli/cost/estimate.ts';
import type { Calls } from '../../bin/cli/cost/metered.ts';
import { prices } from '../../bin/cli/cost/prices.ts';

/** Design, section 13: what the control plane may cost for one idle tenant, USD a month. */
export const controlPlaneBudget = 0.1;

const usd = (value: number): string => `$${value.toFixed(value !== 0 && Math.abs(value) < 1 ? 3 : 2)}`;
const rows = (lines: readonly Line[]): string[] =>
  lines.map(({ what, usd: amount, of }) => `| ${what} | ${usd(amount)} | ${of} |`);
const sum = (lines: readonly Line[]): number => lines.reduce((total, line) => total + line.usd, 0);

const labels: Readonly<Record<keyof Calls, string>> = {
  looks: 'Lambda: looks',
  nannyLooks: 'of those, that ask nannies',
  joins: 'Lambda: joins and reports',
  messages: 'SQS: messages',
  dynamoReadUnits: 'DynamoDB: read units',
  dynamoWriteUnits: 'DynamoDB: write units',
  s3Lists: 'S3: lists',
  ecs: 'ECS: calls (free)',
  ec2: 'EC2: calls (free)',
  cloudMap: 'Cloud Map: calls (free)',
};

/** What stands between the markers of docs/cost.md. */
export function renderParts(metered: Metered): Readonly<Record<string, string>> {
  const { idle, busy, fleet } = metered;
  const lines = controlPlaneLines(idle);
  const total = sum(lines);
  const { perTenant, fixed } = estimateCost(defaultCostInput, metered);
  return {
    meter: [
      '| calls in one hour | one idle tenant | one busy tenant | a cell without tenants |',
      '|---|---|---|---|',
      ...Object.entries(labels).map(([key, label]) => {
        const at = key as keyof Calls;
        return `| ${label} | ${idle[at]} | ${busy[at]} | ${fleet[at]} |`;
      }),
    ].join('\n'),
    'control-plane': [
      '| control plane of one idle tenant, a month | USD | of |',
      '|---|---|---|',
      ...rows(lines.filter((line) => line.usd > 0)),
      `| **all** | **${usd(total)}** | budget of the design: ${usd(controlPlaneBudget)}, ${total <= controlPlaneBudget ? 'kept' : '**not kept**'} |`,
    ].join('\n'),
    tenant: [
      '| one small tenant, a month | USD | of |',
      '|---|---|---|',
      ...rows(perTenant.lines),
      `| **all** | **${usd(perTenant.usd)}** | |`,
    ].join('\n'),
    fixed: [
      '| a deployment with one cell, a month | USD | of |',
      '|---|---|---|',
      ...rows(fixed.lines),
      `| **all** | **${usd(fixed.usd)}** | |`,
    ].join('\n'),
    prices: [
      '| price | USD | per | looked up |',
      '|---|---|---|---|',
      ...Object.entries(prices).map(
        ([name, { usd: amount, per, checked }]) =>
          `| ${name} | ${Number(amount.toPrecision(6))} | ${per} | ${checked} |`,
      ),
    ].join('\n'),
    assumptions: [
      '| assumed | |',
      '|---|---|',
      ...Object.entries(assumptions).map(([name, value]) => `| ${name} | ${value.toLocaleString('en')} |`),
    ].join('\n'),
  };
}

/** Puts each part between its markers. @throws Error when a marker is missing */
export function fillPage(page: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`docs/cost.md has no markers ${begin} … ${end}.`);
    return `${text.slice(0, from + begin.length)}\n${part}\n${text.slice(to)}`;
  }, page);
}
