/**
 * `npm run recovery-times`: writes docs/recovery-times.md from what the last runs of `npm run e2e` have measured on this
 * machine. Refuses while a row is missing.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoDir } from './support/cloud.ts';
import { renderRecoveryTimes } from './support/recovery-page.ts';
import { readRow } from './support/recovery-row.ts';

const { page, missing } = renderRecoveryTimes(readRow);
if (page === undefined) {
  const topics = [...new Set(missing.map(({ topic }) => topic))];
  console.error(
    [
      'Not measured on this machine yet:',
      ...missing.map(({ topic, scenario }) => `  ${topic}: ${scenario}`),
      `Run: ${topics.map((topic) => `npm run e2e -- ${topic}`).join(' && ')}`,
    ].join('\n'),
  );
  process.exit(1);
}
const file = join(repoDir, 'docs', 'recovery-times.md');
writeFileSync(file, page);
console.log(`Written: ${file}`);
