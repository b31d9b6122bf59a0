import { parseArgs } from 'node:util';
import { runHistory, tellResult } from './history.ts';
import { drawScript } from './script.ts';
import { shrink } from './shrink.ts';

/**
 * npm run sim -- [--seed N] [--histories N] [--until-seconds S] [--failures N]
 *
 * Runs histories of consecutive seeds, from `--seed` on (by default from one that the time gives). With `--seed`
 * alone: that one history, told in full.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string' },
    'until-seconds': { type: 'string' },
    failures: { type: 'string', default: '3' },
  },
});
const first = Number(values.seed ?? Date.now() % 1_000_000_000);
const histories = Number(values.histories ?? (values['until-seconds'] ? Number.POSITIVE_INFINITY : 1));
const limitMs = Number(values['until-seconds'] ?? Number.POSITIVE_INFINITY) * 1_000;
const most = Number(values.failures);
if ([first, histories, limitMs, most].some(Number.isNaN)) throw new RangeError('Every option is a number.');

const started = performance.now();
const failed: number[] = [];
let done = 0;
let [looks, writes, recoveries] = [0, 0, 0];
while (done < histories && performance.now() - started < limitMs && failed.length < most) {
  const seed = first + done;
  const result = await runHistory(drawScript(seed));
  done += 1;
  if (done % 100 === 0) console.error(`${done} histories, ${failed.length} failed`);
  looks += result.looks;
  writes += result.writes;
  recoveries += Math.max(0, result.incarnations - 1);
  if (result.problems.length > 0) {
    failed.push(seed);
    const smallest = await runHistory(await shrink(result.script));
    console.log(await tellResult(smallest));
  } else if (histories === 1) console.log(await tellResult(result, 500));
}
const seconds = (performance.now() - started) / 1_000;
console.log(
  `${done} histories from seed ${first} in ${seconds.toFixed(1)} s (${((seconds * 1_000) / done).toFixed(1)} ms each): ${looks} looks, ${writes} acknowledged writes, ${recoveries} further incarnations; ` +
    (failed.length === 0 ? 'all as it must be.' : `failed: ${failed.join(', ')}`),
);
process.exitCode = failed.length === 0 ? 0 : 1;
