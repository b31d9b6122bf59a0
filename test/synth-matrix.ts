/**
 * `npm run synth:matrix [-- --only <word>]`: every kind of deployment through the CDK CLI, as `cdk deploy` would do it.
 * Only there do findings of cdk-nag and of CloudFormation's own rules fail a synth. One combination is synthesized twice
 * and compared byte by byte, assets included: what moves by itself would make every `cdk diff` a long one.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const image = 'nodeImageUri=111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/nanny:7';
const jwt = 'jwt={"issuer":"https://login.example.com/","audience":["etcd-nanny"]}';

interface Combination {
  readonly name: string;
  readonly settings: readonly string[];
}
const combinations: Combination[] = [];
// What is furthest from the usual comes first.
for (const cells of [3, 1])
  for (const egress of ['nat', 'endpoints'])
    for (const authority of ['jwt', 'iam'])
      for (const ephemeral of ['false', 'true'])
        combinations.push({
          name: `${cells} cell(s), ${egress}, ${authority}, ${ephemeral === 'true' ? 'ephemeral' : 'lasting'}`,
          settings: [
            image,
            `cells=${cells}`,
            `egress=${egress}`,
            `ephemeral=${ephemeral}`,
            ...(authority === 'jwt' ? [jwt] : []),
          ],
        });
combinations.push(
  { name: 'as it comes, image built from the sources', settings: [] },
  {
    name: 'single NAT, locked backups, named zones, peered clients',
    settings: [
      image,
      'egress=single-nat',
      'backupObjectLockDays=30',
      'zones=eu-west-1a,eu-west-1b,eu-west-1c',
      'clientCidrs=10.9.0.0/16',
      'deploymentName=prod',
    ],
  },
);

const [flag, word = ''] = process.argv.slice(2);
const chosen = flag === '--only' ? combinations.filter(({ name }) => name.includes(word)) : combinations;
let failed = 0;
for (const combination of chosen) {
  const started = process.hrtime.bigint();
  const { digest, problem } = synth(combination);
  const seconds = (Number(process.hrtime.bigint() - started) / 1e9).toFixed(1);
  console.log(
    `${problem === undefined ? 'clean ' : 'FAILED'} ${combination.name} (${seconds} s, ${digest.slice(0, 12)})`,
  );
  if (problem !== undefined) {
    failed++;
    console.log(problem);
  }
}
const twice = chosen.find(({ settings }) => settings.length === 0) ?? chosen[0];
if (twice !== undefined) {
  const [first, second] = [synth(twice).digest, synth(twice).digest];
  const same = first === second && first !== '';
  console.log(`${same ? 'same  ' : 'MOVED '} ${twice.name}, twice`);
  if (!same) failed++;
}
console.log(failed === 0 ? `All ${chosen.length} are clean.` : `${failed} of ${chosen.length} failed.`);
process.exitCode = failed === 0 && chosen.length > 0 ? 0 : 1;

function synth({ settings }: Combination): { digest: string; problem?: string } {
  const output = mkdtempSync(join(tmpdir(), 'etcd-nanny-matrix-'));
  try {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/aws-cdk/bin/cdk'),
        'synth',
        '--quiet',
        '--output',
        output,
        ...settings.flatMap((setting) => ['--context', setting]),
      ],
      { cwd: root, encoding: 'utf8', env: { ...process.env, CI: 'true' } },
    );
    if (status !== 0) return { digest: '', problem: `${stdout}${stderr}`.slice(-4_000) };
    return { digest: digestOf(output) };
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/** Of all files: templates, manifests and what the functions are made of. The report of the checks has times in it. */
function digestOf(directory: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'validation-report.json')
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) hash.update(file.slice(directory.length)).update(readFileSync(file));
  return hash.digest('hex');
}
