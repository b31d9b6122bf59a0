import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleNanny } from '../node-image/bundle.ts';
import { LocalCloudError } from './state.ts';

export type CdkContext = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** What the synthesized templates and the bundled functions are made of. */
const appSources = [
  'bin',
  'lib',
  'lambdas',
  'node-image/etcd-versions.json',
  'node-image/binaries',
  'cdk.json',
  'package-lock.json',
];
const nannySources = ['node-image/src', 'node-image/bundle.ts', 'lambdas/core', 'package-lock.json'];

/**
 * `<state>/cdk.out`, synthesized anew only when the sources or the context have changed.
 * @throws LocalCloudError with what the app printed
 */
export async function synthesize(options: {
  readonly repoDir: string;
  readonly stateDir: string;
  readonly context: CdkContext;
}): Promise<{ directory: string; fresh: boolean }> {
  const { repoDir, stateDir, context } = options;
  const directory = join(stateDir, 'cdk.out');
  const fresh = await whenChanged(join(stateDir, 'synth.hash'), repoDir, appSources, context, async () => {
    rmSync(directory, { recursive: true, force: true });
    const script = join(repoDir, 'local', 'synth-main.ts');
    await run([script, directory, JSON.stringify(context)], repoDir);
  });
  return { directory, fresh };
}

/** `<state>/node-image/main.mjs`: the nanny, bundled as for its image. */
export async function buildNanny(options: {
  readonly repoDir: string;
  readonly stateDir: string;
}): Promise<string> {
  const directory = join(options.stateDir, 'node-image');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'main.mjs');
  await whenChanged(join(directory, 'main.hash'), options.repoDir, nannySources, { file }, async () => {
    await bundleNanny(file);
  });
  return file;
}

async function whenChanged(
  stamp: string,
  repoDir: string,
  sources: readonly string[],
  context: unknown,
  build: () => Promise<void>,
): Promise<boolean> {
  const hash = createHash('sha256').update(JSON.stringify(context)).update(process.version);
  for (const source of sources) addToHash(hash, join(repoDir, source));
  const digest = hash.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return false;
  rmSync(stamp, { force: true });
  await build();
  writeFileSync(stamp, digest);
  return true;
}

function addToHash(hash: ReturnType<typeof createHash>, path: string): void {
  if (!existsSync(path)) return;
  const files = statSync(path).isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) hash.update(file).update('\0').update(readFileSync(file));
}

function run(nodeArguments: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, nodeArguments, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output = (output + text).slice(-8000);
      });
    }
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new LocalCloudError(`The CDK app cannot be synthesized (exit ${code}):\n${output.trim()}`));
    });
  });
}
