/**
 * Makes the images that node-image/Dockerfile begins with, for machines that reach no image registry: Debian by
 * debootstrap, the Node that runs this script, this machine's npm and Go. They get the very names of the real ones, a label that
 * says what they are, and never take the place of a real one.
 *
 *   npm run base-images                       needs root, debootstrap, go, npm and a Docker engine
 *   npm run base-images -- --debian DIR       takes a system that debootstrap has made before
 */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Machine, systemMachine } from '../binaries/machine.ts';
import { findDocker } from '../image/docker-cli.ts';
import { baseImages, decide, fits, type Recipe, recipeOf, standInLabel } from './recipes.ts';

/** Raised when what is in a stand-in changes. */
const format = 2;
const dockerfile = join(import.meta.dirname, '../Dockerfile');
const caBundle = '/etc/ssl/certs/ca-certificates.crt';
const goPath = '/usr/local/go/bin:/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function main(machine: Machine, given: string | undefined): Promise<void> {
  const { path: docker } = await findDocker(machine);
  const images = baseImages(await readFile(dockerfile, 'utf8')).map(recipeOf);
  const roots = new Map<string, string>();
  const scratch = await mkdtemp(join(tmpdir(), 'nanny-base-images-'));
  try {
    for (const recipe of images) {
      const content = await contentOf(recipe, machine);
      const madeOf = `${format} debian-${recipe.suite} ${content.text}`;
      const decision = decide(await labelsOf(docker, recipe.image, machine), madeOf);
      if (decision === 'real') console.log(`${recipe.image}: a real one is there and stays.`);
      if (decision === 'current') console.log(`${recipe.image}: the stand-in is there (${content.text}).`);
      if (decision !== 'make') continue;
      const root =
        roots.get(recipe.suite) ?? (await debian(recipe.suite, join(scratch, recipe.suite), given, machine));
      roots.set(recipe.suite, root);
      const image = join(scratch, recipe.kind);
      await must(machine, 'cp', ['-a', root, image]);
      await content.fill(image);
      await load(docker, image, [
        '--change',
        `LABEL ${standInLabel}="${madeOf}"`,
        ...content.changes.flatMap((change) => ['--change', change]),
        '-',
        recipe.image,
      ]);
      await rm(image, { recursive: true });
      console.log(`${recipe.image}: made as a stand-in (${content.text}).`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Content {
  readonly text: string;
  readonly changes: readonly string[];
  fill(root: string): Promise<void>;
}

/** @throws Error when what this machine has is not what the name promises */
async function contentOf(recipe: Recipe, machine: Machine): Promise<Content> {
  if (recipe.kind === 'go') {
    const go = (await must(machine, 'go', ['env', 'GOVERSION', 'GOROOT'])).split('\n');
    const [version = '', root = ''] = [go[0]?.replace('go', ''), go[1]];
    promise(recipe, version, 'go on PATH');
    return {
      text: `go ${version}`,
      changes: ['ENV GOPATH=/go', 'ENV GOTOOLCHAIN=local', `ENV PATH=${goPath}`, 'WORKDIR /go'],
      async fill(image) {
        await must(machine, 'cp', ['-a', root, join(image, 'usr/local/go')]);
        // The real one has the CA certificates of its distribution.
        await mkdir(join(image, dirname(caBundle)), { recursive: true });
        await cp(caBundle, join(image, caBundle));
      },
    };
  }
  promise(recipe, process.versions.node, 'the Node that runs this script');
  const command = await machine.which('npm');
  if (command === undefined) throw new Error('There is no npm on PATH.');
  // bin/npm-cli.js of its package.
  const npm = dirname(dirname(await realpath(command)));
  return {
    text: `node ${process.versions.node}`,
    changes: [`ENV NODE_VERSION=${process.versions.node}`, 'CMD ["node"]'],
    async fill(image) {
      await cp(process.execPath, join(image, 'usr/local/bin/node'));
      await cp(npm, join(image, 'usr/local/lib/node_modules/npm'), { recursive: true });
      for (const name of ['npm', 'npx'])
        await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(image, 'usr/local/bin', name));
    },
  };
}

function promise({ image, version }: Recipe, is: string, what: string): void {
  if (!fits(version, is)) throw new Error(`${image} promises ${version}, but ${what} is ${is}.`);
}

async function debian(
  suite: string,
  root: string,
  given: string | undefined,
  machine: Machine,
): Promise<string> {
  if (given === undefined) {
    console.log(`Debian ${suite}: debootstrap, about a minute`);
    await must(machine, 'debootstrap', ['--variant=minbase', suite, root]);
  } else {
    const release = await readFile(join(given, 'etc/os-release'), 'utf8');
    if (!release.includes(`VERSION_CODENAME=${suite}`)) throw new Error(`${given} is no Debian ${suite}.`);
    await must(machine, 'cp', ['-a', given, root]);
  }
  for (const folder of [
    'var/cache/apt',
    'var/lib/apt/lists',
    'usr/share/doc',
    'usr/share/man',
    'usr/share/locale',
  ])
    await rm(join(root, folder), { recursive: true, force: true });
  return root;
}

async function labelsOf(
  docker: string,
  image: string,
  machine: Machine,
): Promise<Record<string, string> | undefined> {
  const said = await machine.exec(docker, ['image', 'inspect', '--format', '{{json .Config.Labels}}', image]);
  return said.code === 0 ? (JSON.parse(said.stdout.toString('utf8')) ?? {}) : undefined;
}

async function must(machine: Machine, command: string, args: readonly string[]): Promise<string> {
  const said = await machine.exec(command, args, { env: { LC_ALL: 'C' } });
  if (said.code === 0) return said.stdout.toString('utf8');
  const last = `${said.stdout.toString('utf8')}\n${said.stderr}`.trim().split('\n').slice(-3).join(' / ');
  throw new Error(`${command} ${args[0]} failed (${said.code}): ${last}`);
}

/** `tar | docker import`. */
function load(docker: string, root: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const tar = spawn('tar', ['--numeric-owner', '-C', root, '-c', '.'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const importing = spawn(docker, ['import', ...args], { stdio: [tar.stdout, 'ignore', 'inherit'] });
    for (const child of [tar, importing]) child.on('error', reject);
    importing.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`docker import failed (${code}).`)),
    );
  });
}

try {
  const { values } = parseArgs({ options: { debian: { type: 'string' } } });
  await main(systemMachine(process.env), values.debian);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
