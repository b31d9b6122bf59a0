/**
 * `npm run e2e [-- topic ...]`: tests against real etcd on the local cloud, one file after another.
 * A topic is the part of the file name before `.e2e.test.ts`; without one, all run. Further flags go to vitest.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemMachine } from '../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../node-image/binaries/resolve.ts';
import { minorOf, newestOfMinor, versionsInState } from '../../node-image/binaries/versions.ts';

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
// Topics that go over all minors take those that are at hand; what cannot be had here is said, not passed over.
for (const minor of new Set(versionsInState('supported').map(minorOf))) {
  const version = newestOfMinor(minor);
  if (version === undefined) continue;
  try {
    await resolveEtcd(version, {
      machine: systemMachine(process.env),
      onProgress: (line) => console.log(line),
    });
  } catch (error) {
    console.log(
      `Not covered by this run: etcd ${version}. ${error instanceof Error ? error.message : error}`,
    );
  }
}
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
