/**
 * `npm run image`: builds node-image/Dockerfile for the local cloud's Docker runtime, or for anybody.
 *
 *   --tag NAME          default etcd-nanny/node-image:local
 *   --platform NAME     such as linux/arm64; default the engine's own
 *   --etcd DIR          binaries made before, DIR/<version>/{etcd,etcdutl}: no network for etcd
 *   --sources NAMES     of etcd, in order: directory, release, go
 *   --versions LIST     of etcd, comma separated; default all that are supported
 */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isFile } from '../binaries/cache.ts';
import { type Machine, systemMachine } from '../binaries/machine.ts';
import { versionsInState } from '../binaries/versions.ts';
import { type DockerCli, findDocker } from './docker-cli.ts';
import { inImage } from './etcd.ts';

const root = join(import.meta.dirname, '../..');
const contextParts = ['package.json', 'package-lock.json', '.npmrc', 'lambdas/core', 'node-image'];

export interface ImageRequest {
  readonly tag: string;
  readonly platform?: string;
  readonly etcd?: string;
  readonly sources?: string;
  readonly versions: readonly string[];
  readonly revision: string;
  readonly created: string;
  readonly version: string;
  /** File of CA certificates to trust while it is built. */
  readonly ca?: string;
}

/** Arguments of the build after the context folder is known. */
export function buildArguments(
  docker: Pick<DockerCli, 'build'>,
  request: ImageRequest,
  context: string,
): string[] {
  const sources = request.sources ?? (request.etcd === undefined ? 'release,go' : 'directory,release,go');
  const given = {
    ETCD_SOURCES: sources,
    ETCD_VERSIONS: request.versions.join(' '),
    VERSION: request.version,
    REVISION: request.revision,
    CREATED: request.created,
  };
  return [
    ...docker.build,
    ...(request.platform === undefined ? [] : ['--platform', request.platform]),
    ...(request.ca === undefined ? [] : ['--secret', `id=ca,src=${request.ca}`]),
    ...Object.entries(given).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    '--tag',
    request.tag,
    '--file',
    join(context, 'node-image/Dockerfile'),
    context,
  ];
}

async function main(machine: Machine): Promise<number> {
  const { values } = parseArgs({
    options: {
      tag: { type: 'string', default: 'etcd-nanny/node-image:local' },
      platform: { type: 'string' },
      etcd: { type: 'string' },
      sources: { type: 'string' },
      versions: { type: 'string' },
    },
  });
  const docker = await findDocker(machine);
  const git = await machine.exec('git', ['-C', root, 'log', '-1', '--format=%H %cI'], {});
  const [revision = 'unknown', created = ''] = git.code === 0 ? git.stdout.toString().trim().split(' ') : [];
  const request: ImageRequest = {
    ...values,
    versions: values.versions?.split(',') ?? versionsInState('supported'),
    revision,
    created,
    version: JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version,
    ca: machine.env.NODE_EXTRA_CA_CERTS ?? machine.env.SSL_CERT_FILE,
  };
  const context = values.etcd === undefined ? root : await contextWith(values.etcd, request.versions);
  try {
    const code = await run(docker, buildArguments(docker, request, context), machine);
    if (code !== 0) return code;
  } finally {
    if (context !== root) await rm(context, { recursive: true, force: true });
  }
  const said = await machine.exec(docker.path, [
    'image',
    'inspect',
    '--format',
    '{{.Size}} {{.Architecture}}',
    request.tag,
  ]);
  const [size, architecture] = said.stdout.toString('utf8').trim().split(' ');
  console.log(
    `${request.tag}: ${(Number(size) / 1e6).toFixed(0)} MB, ${architecture}, etcd ${request.versions.join(', ')}`,
  );
  return 0;
}

/** A copy of what the Dockerfile needs, with the binaries beside it: a build sees nothing outside of its context. */
async function contextWith(directory: string, versions: readonly string[]): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), 'nanny-image-'));
  await mkdir(join(context, 'lambdas'));
  for (const part of contextParts) await cp(join(root, part), join(context, part), { recursive: true });
  for (const version of versions) {
    const from = join(directory, version);
    if (!(await isFile(join(from, 'etcd')))) continue;
    const to = join(context, 'node-image/etcd-binaries', version);
    await mkdir(to, { recursive: true });
    for (const name of inImage) await cp(join(from, name), join(to, name), { dereference: true });
  }
  return context;
}

function run({ path, env }: DockerCli, args: readonly string[], machine: Machine): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: 'inherit', env: { ...machine.env, ...env } });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

if (import.meta.main) {
  try {
    process.exitCode = await main(systemMachine(process.env));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
