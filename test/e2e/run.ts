/**
 * `npm run e2e [-- topic ...]`: tests against real etcd on the local cloud, one file after another.
 * A topic is the part of the file name before `.e2e.test.ts`; without one, all run. Further flags go to vitest.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = import.meta.dirname;
const topics = readdirSync(folder)
  .filter((file) => file.endsWith('.e2e.test.ts'))
  .map((file) => file.replace('.e2e.test.ts', ''))
  .sort();
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));
const unknown = wanted.filter(
  (topic) => !topics.some((name) => name === topic || name.startsWith(`${topic}-`)),
);
if (unknown.length > 0 || flags.includes('--help')) {
  console.error(
    `${unknown.length > 0 ? `Unknown topic: ${unknown.join(', ')}. ` : ''}Topics: ${topics.join(', ')}.`,
  );
  process.exit(2);
}
const chosen = topics.filter(
  (name) => wanted.length === 0 || wanted.some((topic) => name === topic || name.startsWith(`${topic}-`)),
);
const result = spawnSync(
  process.execPath,
  [
    join(folder, '../../node_modules/vitest/vitest.mjs'),
    'run',
    '--config',
    join(folder, 'vitest.config.ts'),
    ...flags,
    ...chosen.map((name) => `test/e2e/${name}.e2e.test.ts`),
  ],
  { stdio: 'inherit', cwd: join(folder, '../..') },
);
process.exit(result.status ?? 1);
