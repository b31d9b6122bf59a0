import { expect, test } from 'vitest';
import { createCounter } from '../e2e/support/load/figures.ts';
import { renderRecoveryTimes } from '../e2e/support/recovery-page.ts';
import type { RecoveryRow } from '../e2e/support/recovery-row.ts';
import { scenarios } from '../e2e/support/scenarios.ts';

const row = (topic: string, scenario: string): RecoveryRow => ({
  topic,
  scenario,
  settings: 'unreachableSeconds 5',
  detectionMs: 1_234,
  repairMs: 12_345,
  longestGapMs: 87,
  failed: 0,
  lost: 3,
  writes: 2_600,
  at: '2026-11-22T15:00:00.000Z',
  machine: '2 × any, 8 GiB',
});

test('the page shows each scenario with its times, its losses, the day, the machine and the settings', () => {
  const { page } = renderRecoveryTimes(row);
  for (const scenario of Object.values(scenarios).flat())
    expect(page).toContain(
      `| ${scenario} (unreachableSeconds 5) | 1.23 s | 12.3 s | 0.09 s | 2600 | 0 | 3 |`,
    );
  expect(page).toContain('Measured 2026-11-22 on 2 × any, 8 GiB');
});

test('no page is written as long as a scenario was not measured, and it is named with its topic', () => {
  const [topic, [scenario]] = ['remediate', scenarios.remediate] as const;
  const result = renderRecoveryTimes((...which) => (which[1] === scenario ? undefined : row(...which)));
  expect(result.page).toBeUndefined();
  expect(result.missing).toMatchObject([{ topic, scenario }]);
});

test('a gap that lasts counts before it ends, and one that began before a lap only from the lap on', () => {
  const counter = createCounter(0);
  counter.acknowledge(100);
  expect(counter.figures(700).longestGapMs).toBe(600);
  expect(counter.lap(1_000).longestGapMs).toBe(900);
  counter.acknowledge(1_200);
  expect(counter.lap(1_250)).toMatchObject({ longestGapMs: 200, acknowledged: 1 });
  expect(counter.figures(1_250)).toMatchObject({ longestGapMs: 1_100, acknowledged: 2 });
});

test('a lap tells only its own failures', () => {
  const counter = createCounter(0);
  counter.fail('a: no');
  expect(counter.lap(10).failures).toEqual(['a: no']);
  counter.fail('b: no');
  expect(counter.lap(20)).toMatchObject({ failures: ['b: no'], failed: 1 });
  expect(counter.failures).toEqual(['a: no', 'b: no']);
});
