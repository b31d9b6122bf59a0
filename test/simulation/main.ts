import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runHistory, tellResult } from './history.ts';
import { runBatch } from './pool.ts';
import { drawScript } from './script.ts';
import { shrink } from './shrink.ts';
import { happenings, isFailed } from './summary.ts';

/**
 * npm run sim -- --seed N                       that one history, told in full
 * npm run sim -- --seed N --histories N         so many, of consecutive seeds
 * npm run sim -- --explore                      from a seed that nobody has chosen; 1,000, or --histories
 * npm run sim -- --ci                           the seeds that CI runs, and the result where CI adds them up
 *
 * Also: --until-seconds S · --failures N (stops after so many, 3) · --workers N (all cores)
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string' },
    'until-seconds': { type: 'string' },
    failures: { type: 'string', default: '3' },
    workers: { type: 'string', default: String(availableParallelism()) },
    explore: { type: 'boolean', default: false },
    ci: { type: 'boolean', default: false },
  },
});

/** Always the same ones: a bug that nobody has just made must not stop everybody's landing. Exploring finds those. */
const ciSeeds = { first: 1, histories: 10_000 };

const single = values.seed !== undefined && !values.histories && !values['until-seconds'];
const number = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isNaN(value)) throw new RangeError(`${text} is no number`);
  return value;
};
const first = number(values.seed, values.ci ? ciSeeds.first : Date.now() % 1_000_000_000);
const endless = values['until-seconds'] === undefined ? undefined : Number.POSITIVE_INFINITY;
const histories = number(
  values.histories,
  values.ci ? ciSeeds.histories : (endless ?? (values.explore ? 1_000 : 1)),
);

if (single) {
  const result = await runHistory(drawScript(first));
  console.log(await tellResult(result, 500));
  process.exitCode = result.problems.length === 0 ? 0 : 1;
} else {
  const started = performance.now();
  console.log(`Seeds from ${first} on.`);
  const summaries = await runBatch(
    {
      first,
      histories,
      workers: number(values.workers, 1),
      limitMs: number(values['until-seconds'], Number.POSITIVE_INFINITY) * 1_000,
      failures: number(values.failures, 3),
    },
    ({ seed, problems }, done) => {
      if (isFailed({ problems })) console.error(`seed ${seed} fails: ${problems[0]}`);
      if (done % 500 === 0) console.error(`${done} histories, ${seconds(started)} s`);
    },
  );
  const took = seconds(started);
  const { user, system } = process.cpuUsage();
  const failed = summaries.filter(isFailed).map(({ seed }) => seed);
  for (const seed of failed) {
    const smallest = await shrink(drawScript(seed));
    console.log(await tellResult(await runHistory(smallest)));
    // As it goes into regressions/, with a story.
    console.log(JSON.stringify({ story: '', script: smallest }));
  }
  const sum = (of: (summary: (typeof summaries)[number]) => number): number =>
    summaries.reduce((total, summary) => total + of(summary), 0);
  const done = summaries.length;
  const cpuMs = (user + system) / 1_000 / done;
  console.log(
    `${done} histories from seed ${first} in ${took} s (${cpuMs.toFixed(1)} ms CPU each), ${Math.round(sum(({ virtualSeconds }) => virtualSeconds) / 3_600)} hours of theirs: ` +
      `${sum(({ looks }) => looks)} looks, ${sum(({ writes }) => writes)} acknowledged writes, ${sum(({ incarnations }) => Math.max(0, incarnations - 1))} further incarnations; ` +
      (failed.length === 0
        ? 'all as it must be.'
        : `failed: ${failed.map((seed) => `npm run sim -- --seed ${seed}`).join(' · ')}`),
  );
  const line = ([what, times]: readonly [string, number]): string => `${what} ${times}`;
  console.log(`In so many histories: ${happenings(summaries).map(line).join(' · ')}.`);
  if (values.ci) report(failed.length === 0 && done === histories);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

/** All histories are one promise, so they count as one test. */
function report(passed: boolean): void {
  const folder = new URL('../../.cache/test-results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const counts = { numPassedTests: Number(passed), numFailedTests: Number(!passed) };
  writeFileSync(
    new URL('simulation.json', folder),
    JSON.stringify({ ...counts, numPendingTests: 0, numTodoTests: 0 }),
  );
}
