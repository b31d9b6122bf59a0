import { readFileSync, writeFileSync } from 'node:fs';
import { controlPlaneLines, type Metered } from '../../bin/cli/cost/estimate.ts';
import { verdict } from '../report.ts';
import { meterAll } from './meter.ts';
import { controlPlaneBudget, fillPage, renderParts } from './page.ts';

const root = new URL('../..', import.meta.url).pathname;
const data = `${root}bin/cli/cost/metered.ts`;
const page = `${root}docs/cost.md`;

/** Meters, and writes what it found where the calculator and docs/cost.md have it. */
export async function benchCost(): Promise<string> {
  const metered = await meterAll();
  writeFileSync(data, withFigures(readFileSync(data, 'utf8'), metered));
  writeFileSync(page, fillPage(readFileSync(page, 'utf8'), renderParts(metered)));
  const usd = controlPlaneLines(metered.idle).reduce((sum, line) => sum + line.usd, 0);
  return [
    `Control plane of one idle tenant, from one metered hour: $${usd.toFixed(3)} a month, budget $${controlPlaneBudget.toFixed(2)}: ${verdict(usd, controlPlaneBudget)}`,
    'Written: bin/cli/cost/metered.ts, docs/cost.md',
  ].join('\n');
}

function withFigures(source: string, metered: Metered): string {
  const marker = 'export const metered';
  const figures = Object.entries(metered).map(
    ([name, calls]) =>
      `  ${name}: {\n${Object.entries(calls)
        .map(([key, value]) => `    ${key}: ${value},`)
        .join('\n')}\n  },`,
  );
  return `${source.slice(0, source.indexOf(marker))}${marker}: Readonly<Record<'idle' | 'busy' | 'fleet', Calls>> = {\n${figures.join('\n')}\n};\n`;
}
