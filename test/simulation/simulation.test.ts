import { describe, expect, test } from 'vitest';
import { type Result, runHistory, tellResult, timelineOf } from './history.ts';
import { regressions } from './regressions.ts';
import { drawScript } from './script.ts';

const told = async (result: Result): Promise<string> =>
  result.problems.length === 0 ? '' : tellResult(result, 40);

describe('the whole control plane in a world that goes wrong', () => {
  test('keeps every rule at every moment, loses no acknowledged write and comes to rest as the spec says', async () => {
    const started = performance.now();
    // As many as there is time for; `npm run sim` runs thousands.
    for (let seed = 1; seed <= 10 || (seed <= 200 && performance.now() - started < 4_000); seed++) {
      expect(await told(await runHistory(drawScript(seed)))).toBe('');
    }
  }, 120_000);

  test('is the same history again for the same seed', async () => {
    const [first, second] = [await runHistory(drawScript(7)), await runHistory(drawScript(7))];
    expect(await timelineOf(first)).toEqual(await timelineOf(second));
    expect([first.looks, first.writes, first.virtualSeconds]).toEqual([
      second.looks,
      second.writes,
      second.virtualSeconds,
    ]);
  });

  test.each(regressions.map(({ story, script }) => [story, script] as const))(
    '%s',
    async (_story, script) => {
      expect(await told(await runHistory(script))).toBe('');
    },
  );
});
