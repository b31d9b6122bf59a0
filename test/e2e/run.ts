/**
 * `npm run e2e [-- topic ...]`: tests against real etcd on the local cloud, one file after another.
 * A topic is the part of the file name before `.e2e.test.ts`; without one, all proven ones run, with `--all` the others
 * too. Further flags go to vitest. `--runtime docker`: members are containers (docs/image.md says what that takes), and
 * only the topics that do not look at processes of this machine run.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemMachine } from '../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../node-image/binaries/resolve.ts';
import { minorOf, newestOfMinor, versionsInState } from '../../node-image/binaries/versions.ts';
import { unprovoked } from './support/provoked-denials.ts';
import { readTopic, topicsNoted } from './support/rights.ts';

const folder = import.meta.dirname;
const topics = readdirSync(folder)
  .filter((file) => file.endsWith('.e2e.test.ts'))
  .map((file) => file.replace('.e2e.test.ts', ''))
  .sort();
/**
 * Run by name or with `--all` only: they have not been green often enough to decide whether somebody's work may land.
 * A topic leaves this list when it has been green ten times in a row.
 */
const proving = [
  'alarms',
  'alarms-fleet',
  'authority',
  'autoscale',
  'backup-again',
  'backup-clone',
  'backup-disks',
  'backup-drill',
  'backup-faults',
  'backup-hibernate',
  'backup-lost',
  'backup-restore',
  'ca-rollover',
  'cells',
  'fleet',
  'nanny-backup',
  'nanny-points',
  'patch',
  'remediate',
  'remediate-fleet',
  'remediate-quorum',
  'remediate-space',
  'remediate-zones',
  'scale',
  'tenant-as-code',
];
/** Those that hold no pids and no loopback addresses in their hands. */
const dockerTopics = ['backup-restore', 'create', 'docker-runtime', 'kill', 'patch', 'remediate-zones'];
/** Nothing without an engine. */
const dockerOnly = ['docker-runtime'];
const given = process.argv.slice(2);
const at = given.indexOf('--runtime');
const runtime = at < 0 ? 'process' : given.splice(at, 2)[1];
const everything = given.includes('--all');
const wanted = given.filter((argument) => !argument.startsWith('-'));
const flags = given.filter((argument) => argument.startsWith('-') && argument !== '--all');
const unknown = wanted.filter(
  (topic) => !topics.some((name) => name === topic || name.startsWith(`${topic}-`)),
);
if (runtime !== 'process' && runtime !== 'docker') {
  console.error('--runtime must be process or docker.');
  process.exit(2);
}
if (unknown.length > 0 || flags.includes('--help')) {
  console.error(
    `${unknown.length > 0 ? `Unknown topic: ${unknown.join(', ')}. ` : ''}Topics: ${topics.join(', ')}.`,
  );
  process.exit(2);
}
const isChosen = (name: string): boolean =>
  wanted.length === 0
    ? everything || !proving.includes(name)
    : wanted.some((topic) => name === topic || name.startsWith(`${topic}-`));
const chosen = topics
  .filter(isChosen)
  .filter((name) => (runtime === 'process' ? !dockerOnly.includes(name) : dockerTopics.includes(name)));
const left = wanted.filter((topic) => !chosen.some((name) => name === topic || name.startsWith(`${topic}-`)));
if (left.length > 0) {
  const can = topics.filter((name) =>
    runtime === 'docker' ? dockerTopics.includes(name) : !dockerOnly.includes(name),
  );
  console.error(`Not with --runtime ${runtime}: ${left.join(', ')}. These are: ${can.join(', ')}.`);
  process.exit(2);
}
if (wanted.length === 0 && !everything) console.log(`Not run, still being proven: ${proving.join(', ')}.`);
// Topics that go over all minors take those that are at hand; what cannot be had here is said, not passed over.
// Topics that patch within a minor need the release before the newest too.
const patches = chosen.some((name) => ['alarms-fleet', 'fleet', 'patch'].includes(name));
for (const minor of new Set(versionsInState('supported').map(minorOf))) {
  await bringAlong(newestOfMinor(minor));
  const older = versionsInState('supported').filter((version) => version !== newestOfMinor(minor));
  if (patches) await bringAlong(newestOfMinor(minor, older));
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
  {
    stdio: 'inherit',
    cwd: join(folder, '../..'),
    env: { ...process.env, NANNY_E2E_RUNTIME: runtime },
  },
);
const refused = chosen
  .filter((topic) => topicsNoted().includes(topic))
  .flatMap((topic) =>
    unprovoked(topic, readTopic(topic).denials).map(({ principal, action, resource }) => {
      const role = principal.slice(principal.lastIndexOf('/') + 1);
      return `${topic}: ${role} was refused ${action} on ${resource}`;
    }),
  );
if (refused.length > 0)
  console.error(`Refused by IAM, and no test provokes it (npm run iam:used):\n  ${refused.join('\n  ')}`);
process.exit(result.status || (refused.length > 0 ? 1 : 0));

async function bringAlong(version: string | undefined): Promise<void> {
  if (version === undefined) return;
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
