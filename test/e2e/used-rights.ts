/**
 * `npm run iam:used`: what roles really did in the end-to-end topics that were run on this machine, against the policies of the
 * templates. Writes test/lib/rights/used-rights.json, which the fast tests compare; fails when something was refused that no
 * test provokes, when a right is missing, or when one is given that was never used and nobody says why.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { compareRights, mergeUsed, type UsedRights } from '../lib/rights/compare.ts';
import { rightsOf } from '../lib/rights/templates.ts';
import { unusedRights } from '../lib/rights/unused-rights.ts';
import { localContext, synthesize } from '../lib/synth.ts';
import { unprovoked } from './support/provoked-denials.ts';
import { readTopic, topicsNoted } from './support/rights.ts';

const file = new URL('../lib/rights/used-rights.json', import.meta.url).pathname;
const topics = topicsNoted();
if (topics.length === 0) {
  console.error(
    'No topic was run on this machine since its results were thrown away: npm run e2e -- <topic>',
  );
  process.exit(1);
}
const results = new Map(topics.map((topic) => [topic, readTopic(topic)]));
const before = JSON.parse(readFileSync(file, 'utf8')) as UsedRights;
const used = mergeUsed(before, new Map([...results].map(([topic, { rights }]) => [topic, rights])));
writeFileSync(file, `${JSON.stringify(used, undefined, 1)}\n`);

const app = await synthesize(localContext);
const { missing, unexplained, stale } = compareRights(rightsOf(app), used, unusedRights);
const denied = [...results].flatMap(([topic, { denials }]) =>
  unprovoked(topic, denials).map(
    ({ principal, action, resource }) => `${topic}: ${principal} was refused ${action} on ${resource}`,
  ),
);
const tell = (title: string, lines: readonly string[]): void => {
  if (lines.length > 0) console.error(`${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
};
console.log(`${topics.length} topics: ${topics.join(', ')}. ${Object.keys(used).length} rights used.`);
tell('Refused, and no test provokes it (test/e2e/support/provoked-denials.ts):', denied);
tell(
  'Used, but the templates do not give it; if nothing asks for it any more, run its topics again:',
  missing,
);
tell('Given, never used: take it away, or say why it stays (test/lib/rights/unused-rights.ts):', unexplained);
tell('Explained without need (test/lib/rights/unused-rights.ts):', stale);
process.exit(denied.length + missing.length + unexplained.length + stale.length === 0 ? 0 : 1);
