import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { meterAll } from '../../bench/cost/meter.ts';
import { fillPage, renderParts } from '../../bench/cost/page.ts';
import { defaultCostInput, inputOf } from '../../bin/cli/commands/cost.ts';
import { controlPlaneLines, estimateCost } from '../../bin/cli/cost/estimate.ts';
import { metered } from '../../bin/cli/cost/metered.ts';

const usd = (calls: Parameters<typeof controlPlaneLines>[0]): number =>
  controlPlaneLines(calls).reduce((sum, line) => sum + line.usd, 0);

describe('the cost page', () => {
  it('shows what the calculator says: npm run bench -- cost writes it', () => {
    const page = readFileSync('docs/cost.md', 'utf8');
    expect(fillPage(page, renderParts(metered))).toBe(page);
  });

  it('rests on calls that the control plane still makes, to a tenth of their price', async () => {
    const now = await meterAll();
    for (const of of ['idle', 'busy', 'fleet'] as const) {
      expect(usd(now[of]) / usd(metered[of]), `${of}: npm run bench -- cost`).toBeGreaterThan(0.9);
      expect(usd(now[of]) / usd(metered[of]), `${of}: npm run bench -- cost`).toBeLessThan(1.1);
    }
    // A meter that counts nothing would agree with itself.
    expect(now.idle.looks).toBeGreaterThan(10);
    expect(now.idle.dynamoWriteUnits).toBeGreaterThan(now.idle.looks);
    expect(now.fleet.looks).toBe(60);
  });
});

describe('the calculator', () => {
  const cost = (over: Partial<typeof defaultCostInput> = {}) =>
    estimateCost({ ...defaultCostInput, ...over });

  it('adds up: a total is what is fixed and each tenant’s', () => {
    const { total, fixed, perTenant } = cost({ tenants: 50 });
    expect(total).toBeCloseTo(fixed.usd + 50 * perTenant.usd, 6);
    expect(fixed.usd).toBeCloseTo(
      fixed.lines.reduce((sum, line) => sum + line.usd, 0),
      6,
    );
  });

  it('knows Fargate as the price table of the research has it', () => {
    for (const [size, compute] of [
      ['micro', 21.63],
      ['small', 43.25],
      ['medium', 86.51],
      ['large', 173.01],
    ] as const) {
      const line = cost({ size }).perTenant.lines.find(({ what }) => what === 'Fargate');
      expect(line?.usd).toBeCloseTo(compute, 1);
    }
  });

  it('grows with what is asked for, and never falls', () => {
    const of = (over: Partial<typeof defaultCostInput>) => cost(over).perTenant.usd;
    expect(of({ members: 5 })).toBeGreaterThan(of({ members: 3 }));
    expect(of({ storageGiB: 50 })).toBeGreaterThan(of({}));
    expect(of({ writesPerSecond: 100 })).toBeGreaterThan(of({ writesPerSecond: 1 }));
    expect(of({ databaseMiB: 4_000 })).toBeGreaterThan(of({}));
    expect(cost({ cells: 3 }).fixed.usd).toBeGreaterThan(2.5 * cost().fixed.usd);
    expect(cost({ volume: 'ephemeral', storageGiB: 21 }).perTenant.usd).toBeLessThan(of({}));
  });

  it('takes the lower price of metrics beyond ten thousand', () => {
    const line = cost({ tenants: 2_000 }).fixed.lines.find(({ what }) => /metrics/.test(what));
    expect(line?.usd).toBeCloseTo(-6_000 * 0.2, 6);
  });

  it.each([
    [{ size: 'huge' }, '--size takes micro, small, medium, large or xlarge, not huge.'],
    [{ members: 4 }, '--members takes 1, 3 or 5, not 4.'],
    [{ volume: 'tape' }, '--volume takes ebs or ephemeral, not tape.'],
    [{ volume: 'ephemeral', storage: 10 }, '--storage takes a number from 21 to 200, not 10.'],
    [{ tenants: 200_000 }, '--tenants takes a number from 0 to 100000, not 200000.'],
    [{ cells: 9 }, '--cells takes a number from 1 to 8, not 9.'],
  ])('says what is wrong with %j', (options, message) => {
    expect(() => inputOf(options)).toThrow(message);
  });
});
