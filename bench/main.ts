/**
 * `npm run bench -- create|replace|patch|backup [--runs N]`: the product on the local cloud against the same etcd steps by
 * hand (hand/cluster.sh), in turns in one run on one machine. What counts is the ratio, never the milliseconds.
 * `cost` meters the control plane in virtual time and writes docs/cost.md; `sweep` looks at 10,000 simulated tenants.
 */
import { parseArgs } from 'node:util';
import { compareVersions } from '../lambdas/core/version-order.ts';
import { systemMachine } from '../node-image/binaries/machine.ts';
import { resolveEtcd } from '../node-image/binaries/resolve.ts';
import { minorOf, newestOfMinor, versionsInState } from '../node-image/binaries/versions.ts';
import { testCloud } from '../test/e2e/support/cloud.ts';
import { benchBackup } from './backup.ts';
import type { AloneContext, BenchContext } from './context.ts';
import { benchCost } from './cost/main.ts';
import { benchCreate } from './create.ts';
import { benchPatch } from './patch.ts';
import { benchReplace } from './replace.ts';
import { benchSweep } from './sweep.ts';

type Bench = (context: BenchContext) => Promise<string>;
type Alone = (context: AloneContext) => Promise<string>;
/** Runs no etcd at all. */
type Simulated = (say: (line: string) => void) => Promise<string>;
type Kind = { run: Bench; runs: number } | { alone: Alone; runs: number } | { simulated: Simulated; runs: 1 };
const benches: Readonly<Record<string, Kind>> = {
  create: { run: benchCreate, runs: 7 },
  replace: { run: benchReplace, runs: 6 },
  patch: { run: benchPatch, runs: 3 },
  backup: { alone: benchBackup, runs: 3 },
  cost: { simulated: benchCost, runs: 1 },
  sweep: { simulated: benchSweep, runs: 1 },
};
const usage = `npm run bench -- ${Object.keys(benches).join('|')} [--runs N]`;

function read(args: readonly string[]): { name: string; runs: number } | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { runs: { type: 'string' }, help: { type: 'boolean' } },
    });
    const [name = '', ...more] = positionals;
    if (values.help) return usage;
    if (!(name in benches) || more.length > 0) return `Which one? ${usage}`;
    const runs = values.runs === undefined ? benches[name]!.runs : Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1 || runs > 50) return '--runs is a number from 1 to 50.';
    return { name, runs };
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n${usage}`;
  }
}

const asked = read(process.argv.slice(2));
if (typeof asked === 'string') {
  console.error(asked);
  process.exit(2);
}
const version = newestOfMinor('3.6')!;
const say = (line: string): void => console.log(line);
const dirOf = async (wanted: string): Promise<string> =>
  (await resolveEtcd(wanted, { machine: systemMachine(process.env), onProgress: say })).dir;
const { name, runs } = asked;
const bench = benches[name]!;
if ('simulated' in bench) {
  say(await bench.simulated(say));
  process.exit();
}
const etcdDir = await dirOf(version);
say(`etcd ${version}, ${runs} runs each, in turns.`);
say('alone' in bench ? await bench.alone({ version, runs, say }) : await onLocalCloud(bench.run));

async function onLocalCloud(run: Bench): Promise<string> {
  const before = versionsInState('supported')
    .filter((other) => minorOf(other) === minorOf(version) && other !== version)
    .sort(compareVersions)
    .at(-1)!;
  const older = { version: before, etcdDir: await dirOf(before) };
  const cloud = await testCloud();
  const remove = async (tenantId: string): Promise<void> => {
    const { code, stderr } = await cloud.cli('delete', tenantId, '--yes', '--no-final-backup', '--wait');
    if (code !== 0) throw new Error(stderr);
  };
  try {
    const withRemove = Object.assign(Object.create(cloud), { remove }) as BenchContext['cloud'];
    return await run({ cloud: withRemove, version, etcdDir, older, runs, say });
  } finally {
    await cloud.dispose();
  }
}
