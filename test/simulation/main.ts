import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { readAsked } from './asked.ts';
import { runHistory, tellResult } from './history.ts';
import { runBatch } from './pool.ts';
import { drawScript } from './script.ts';
import { shrink } from './shrink.ts';
import { happenings, isFailed } from './summary.ts';

const asked = readAsked(process.argv.slice(2), Date.now(), availableParallelism());
if ('say' in asked) {
  (asked.code === 0 ? console.log : console.error)(asked.say);
  process.exit(asked.code);
}
const { first, histories, single, workers, limitMs, failures, ci } = asked;

if (single) {
  const result = await runHistory(drawScript(first));
  console.log(await tellResult(result, 500));
  process.exitCode = result.problems.length === 0 ? 0 : 1;
} else {
  const started = performance.now();
  console.log(`Seeds from ${first} on.`);
  const summaries = await runBatch(
    { first, histories, workers, limitMs, failures },
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
  if (ci) report(failed.length === 0 && done === histories);
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
