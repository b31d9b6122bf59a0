import { chmod, copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isFile } from '../binaries/cache.ts';
import type { Machine } from '../binaries/machine.ts';
import { createOnce, type Source, type SourceContext, SourceFailure } from '../binaries/source.ts';
import { goSource } from '../binaries/sources/go.ts';
import { releaseSource } from '../binaries/sources/release.ts';
import { knownVersion, type Platform } from '../binaries/versions.ts';
import { type GoBinary, parseBuildInfo } from './go-modules.ts';

/** The nanny never runs etcdctl: 17 MB a version that nobody would use. */
export const inImage = ['etcd', 'etcdutl'] as const;

const moduleOf = { etcd: 'server', etcdutl: 'etcdutl' } as const;

/** Binaries made before, `<directory>/<version>`: taken only if Go says that they are of the pinned modules. */
export function directorySource(directory: string): Source {
  const find = async (version: string) => {
    if (!(await isFile(join(directory, version, 'etcd')))) throw new SourceFailure('none were given');
  };
  return {
    name: 'directory',
    probe: find,
    async obtain(version, stage) {
      await find(version);
      for (const name of inImage) await copyFile(join(directory, version, name), join(stage, name));
    },
  };
}

export interface ImageEtcd {
  readonly version: string;
  readonly source: string;
  readonly binaries: Readonly<Record<(typeof inImage)[number], GoBinary>>;
}

/**
 * Puts etcd and etcdutl of each version into `<out>/<version>`, for a platform that need not be this machine's: nothing
 * of it is run. A release is proven by its pinned SHA-256, everything else by the go.sum hash in its build info.
 * @throws Error with what each source said
 */
export async function etcdForImage(options: {
  readonly versions: readonly string[];
  readonly out: string;
  readonly os: string;
  readonly arch: string;
  readonly machine: Machine;
  readonly sources: readonly Source[];
  readonly onProgress: (line: string) => void;
}): Promise<ImageEtcd[]> {
  const { os, arch, machine, onProgress } = options;
  const context: SourceContext = {
    machine: { ...machine, exec: (command, args, how) => machine.exec(command, args, crossed(how)) },
    platform: `${os}-${arch}` as Platform,
    cacheDir: options.out,
    allowUnpinned: false,
    progress: onProgress,
    once: createOnce(),
  };
  const crossed = (how: Parameters<Machine['exec']>[2]) => ({
    ...how,
    env: { GOOS: os, GOARCH: arch, ...how?.env },
  });
  const made: ImageEtcd[] = [];
  for (const version of options.versions) {
    made.push(await obtain(version, options.sources, options.out, context));
    onProgress(`etcd ${version} for ${os}/${arch}: from ${made.at(-1)!.source}`);
  }
  return made;
}

async function obtain(
  version: string,
  sources: readonly Source[],
  out: string,
  context: SourceContext,
): Promise<ImageEtcd> {
  const said: string[] = [];
  for (const source of sources) {
    const stage = join(out, `.stage-${version}`);
    await mkdir(stage, { recursive: true });
    try {
      await source.obtain(version, stage, context);
      const found = await inspect(version, stage, source.name, context);
      await mkdir(join(out, version), { recursive: true });
      for (const name of inImage) {
        await chmod(join(stage, name), 0o755);
        await rename(join(stage, name), join(out, version, name));
      }
      return { version, source: source.name, binaries: found };
    } catch (error) {
      if (!(error instanceof SourceFailure)) throw error;
      said.push(`${source.name}: ${error.message}`);
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  }
  throw new Error(`etcd ${version} for ${context.platform} cannot be had. ${said.join('; ')}`);
}

async function inspect(
  version: string,
  stage: string,
  source: string,
  { machine, platform }: SourceContext,
): Promise<ImageEtcd['binaries']> {
  const pinned = knownVersion(version)?.goModules;
  const look = async (name: (typeof inImage)[number]): Promise<GoBinary> => {
    const result = await machine.exec('go', ['version', '-m', join(stage, name)], { timeoutMs: 60_000 });
    if (result.code !== 0) throw new SourceFailure(`go cannot read ${name}: ${result.stderr.trim()}`);
    const binary = parseBuildInfo(result.stdout.toString('utf8'));
    if (`${binary.os}-${binary.arch}` !== platform)
      throw new SourceFailure(`${name} is for ${binary.os}/${binary.arch}`);
    const { path, sum, version: is } = binary.main;
    // The etcd project builds in its own checkout: there is no module version in it, but its archive's hash is pinned.
    if (source === 'release') return binary;
    const wanted = pinned?.[moduleOf[name]];
    if (path !== `go.etcd.io/etcd/${moduleOf[name]}/v3` || is !== `v${version}` || sum !== wanted)
      throw new SourceFailure(`${name} is ${path} ${is} ${sum}, not the pinned ${version} ${wanted}`);
    return binary;
  };
  return { etcd: await look('etcd'), etcdutl: await look('etcdutl') };
}

/** In order of preference; `release,go` unless the build says otherwise. */
export function imageSources(names: string, directory: string): Source[] {
  const all: Readonly<Record<string, Source>> = {
    directory: directorySource(directory),
    release: releaseSource,
    go: goSource,
  };
  return names.split(',').map((name) => {
    const source = all[name.trim()];
    if (source === undefined)
      throw new Error(`There is no source "${name}": ${Object.keys(all).join(', ')}.`);
    return source;
  });
}
