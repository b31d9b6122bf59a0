import { parseArgs } from 'node:util';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import { resolveDefault } from './any.ts';
import { availableVersions } from './available.ts';
import { systemMachine } from './machine.ts';
import { defaultSources, type ResolvedEtcd, type ResolveOptions, resolveEtcd } from './resolve.ts';
import type { Source } from './source.ts';
import { versionsInState } from './versions.ts';

const help = `Gets etcd, etcdctl and etcdutl for this machine and prints their folder.

  npm run etcd                          the default version or, where it cannot be had, the best that can
  npm run etcd -- --version 3.6.16      exactly this version
  npm run etcd -- --all                 every supported version
  npm run etcd -- --list                known versions and where each can be had here

  --from NAMES       only these sources, comma separated: ${defaultSources.map((source) => source.name).join(', ')}
  --directory DIR    look in DIR/<version> first
  --cache-dir DIR    where versions are kept (default .cache/etcd)
  --allow-unpinned   use a release archive whose SHA-256 is not pinned
  --json             one JSON document on stdout and nothing else

Exit code: 0 done, 1 failed, 2 wrong use.`;

class UsageError extends Error {}

async function main(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const flags = parse(args);
  if (flags.help) {
    console.log(help);
    return 0;
  }
  const options: ResolveOptions = {
    machine: systemMachine(env),
    onProgress: (line) => console.error(line),
    allowUnpinned: flags['allow-unpinned'] ?? false,
    sources: pickSources(flags.from),
    ...(flags.directory === undefined ? {} : { directory: flags.directory }),
    ...(flags['cache-dir'] === undefined ? {} : { cacheDir: flags['cache-dir'] }),
  };
  if (flags.list) return list(options, flags.json ?? false);
  if (flags.all) return all(options, flags.json ?? false);
  const found = flags.version ? await resolveEtcd(flags.version, options) : await resolveDefault(options);
  console.log(flags.json ? JSON.stringify(found) : found.dir);
  return 0;
}

function parse(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        version: { type: 'string' },
        all: { type: 'boolean' },
        list: { type: 'boolean' },
        from: { type: 'string' },
        directory: { type: 'string' },
        'cache-dir': { type: 'string' },
        'allow-unpinned': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.version !== undefined && !/^\d+\.\d+\.\d+$/.test(values.version)) {
      throw new UsageError(`--version must be an exact version such as 3.6.16, not ${values.version}`);
    }
    if ([values.version !== undefined, values.all, values.list].filter(Boolean).length > 1) {
      throw new UsageError('--version, --all and --list exclude each other');
    }
    return values;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }
}

function pickSources(names: string | undefined): readonly Source[] {
  if (names === undefined) return defaultSources;
  return names.split(',').map((name) => {
    const source = defaultSources.find((candidate) => candidate.name === name.trim());
    if (source === undefined) throw new UsageError(`--from: there is no source ${name}`);
    return source;
  });
}

async function list(options: ResolveOptions, json: boolean): Promise<number> {
  const versions = await availableVersions(options);
  if (json) {
    console.log(JSON.stringify(versions));
    return 0;
  }
  for (const { version, state, reason, sources, unavailable } of versions) {
    const where = sources.length > 0 ? sources.join(', ') : 'not on this machine';
    console.log(`${version.padEnd(8)} ${state.padEnd(11)} ${where}`);
    if (reason !== undefined) console.log(`${' '.repeat(9)}${state}: ${reason}`);
    if (sources.length === 0) {
      for (const failure of unavailable) console.log(`${' '.repeat(9)}${failure.source}: ${failure.reason}`);
    }
  }
  return 0;
}

async function all(options: ResolveOptions, json: boolean): Promise<number> {
  const found: ResolvedEtcd[] = [];
  const failed: string[] = [];
  for (const version of versionsInState('supported')) {
    try {
      const resolved = await resolveEtcd(version, options);
      found.push(resolved);
      if (!json) console.log(resolved.dir);
    } catch (error) {
      if (!(error instanceof ControlPlaneError)) throw error;
      failed.push(version);
      console.error(error.message);
    }
  }
  if (json) console.log(JSON.stringify({ found, failed }));
  return failed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2), process.env);
} catch (error) {
  const usage = error instanceof UsageError;
  console.error(error instanceof ControlPlaneError || usage ? error.message : error);
  if (usage) console.error('See --help.');
  process.exitCode = usage ? 2 : 1;
}
