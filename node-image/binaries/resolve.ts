import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import {
  cachedSource,
  cachedVersions,
  checkBinaries,
  createStage,
  defaultCacheDir,
  publish,
  sweepStages,
} from './cache.ts';
import { EtcdUnavailableError, type FailedSource } from './failure.ts';
import { withLock } from './lock.ts';
import { type Machine, platformOf } from './machine.ts';
import { createOnce, type Source, type SourceContext, SourceFailure, type SourceName } from './source.ts';
import { debianSource } from './sources/debian.ts';
import { goSource } from './sources/go.ts';
import { pathSource } from './sources/path.ts';
import { releaseSource } from './sources/release.ts';

export interface ResolveOptions {
  readonly machine: Machine;
  /** Looked at first: `<directory>/<version>/{etcd,etcdctl,etcdutl}`. Never written to. */
  readonly directory?: string;
  /** @default `.cache/etcd` of the checkout */
  readonly cacheDir?: string;
  /** Use a release archive whose SHA-256 is not pinned. @default false */
  readonly allowUnpinned?: boolean;
  /** A line of what is being done, for people. */
  readonly onProgress?: (line: string) => void;
  /** In order. @default PATH, official release, Go build, distribution's packages */
  readonly sources?: readonly Source[];
  /** Shared by several calls so that what fails for all versions is tried once. */
  readonly once?: SourceContext['once'];
}

export interface ResolvedEtcd {
  readonly version: string;
  /** Folder of the three binaries: `<root>/<version>`. */
  readonly dir: string;
  /** What NANNY_ETCD_DIR is set to. */
  readonly root: string;
  readonly etcd: string;
  readonly etcdctl: string;
  readonly etcdutl: string;
  /** Where this call found it. */
  readonly source: SourceName;
  /** For `cache`: where it once came from; absent when it was put there by hand. */
  readonly origin?: string;
}

export const defaultSources: readonly Source[] = [pathSource, releaseSource, goSource, debianSource];

/**
 * Finds or makes a working etcd of exactly this version. Calls from several processes at once do the work once.
 * @throws EtcdUnavailableError when no source has it
 */
export async function resolveEtcd(version: string, options: ResolveOptions): Promise<ResolvedEtcd> {
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    throw new ControlPlaneError('invalid-request', `${version} is not an exact version such as 3.6.16`);
  }
  const { machine, cacheDir = defaultCacheDir, sources = defaultSources } = options;
  const progress = options.onProgress ?? (() => {});
  const failures: FailedSource[] = [];

  const found = await inPlace(version, cacheDir, options, failures);
  if (found !== undefined) return found;

  const platform = platformOf(machine);
  if (platform === undefined) {
    const reason = `etcd is not built for ${machine.os} on ${machine.arch}`;
    throw new EtcdUnavailableError([{ version, failures: [...failures, { source: 'release', reason }] }]);
  }
  await mkdir(cacheDir, { recursive: true }).catch((error: Error) => {
    throw new ControlPlaneError(
      'etcd-unavailable',
      `the folder for etcd's binaries cannot be made (${error.message}): give another cache directory`,
    );
  });
  return withLock(
    join(cacheDir, `.lock-${version}`),
    (holder) => progress(`another process (${holder}) is getting etcd ${version}: waiting for it`),
    async () => {
      // Whoever held the lock before may have done the work.
      const published = await inCache(version, cacheDir, machine);
      if (typeof published !== 'string') return published;
      await sweepStages(cacheDir, version);
      const context: SourceContext = {
        machine,
        platform,
        cacheDir,
        allowUnpinned: options.allowUnpinned ?? false,
        progress,
        once: options.once ?? createOnce(),
      };
      for (const source of sources) {
        const failure = await attempt(source, version, context);
        if (failure === undefined) return describe(version, cacheDir, source.name);
        failures.push(failure);
      }
      throw new EtcdUnavailableError([{ version, failures }]);
    },
  );
}

/** The explicit directory, then the cache: nothing is copied. What is wrong with them is noted in `failures`. */
async function inPlace(
  version: string,
  cacheDir: string,
  { machine, directory }: ResolveOptions,
  failures: FailedSource[],
): Promise<ResolvedEtcd | undefined> {
  if (directory !== undefined) {
    const wrong = await checkBinaries(join(directory, version), version, machine);
    if (wrong === undefined) return describe(version, directory, 'directory');
    failures.push({ source: 'directory', reason: wrong });
  }
  const cached = await inCache(version, cacheDir, machine);
  if (typeof cached !== 'string') return cached;
  failures.push({ source: 'cache', reason: cached });
  return undefined;
}

/** A sentence when it is not there or does not work. */
async function inCache(version: string, cacheDir: string, machine: Machine): Promise<ResolvedEtcd | string> {
  if (!(await cachedVersions(cacheDir)).includes(version)) return `nothing in ${cacheDir} yet`;
  const dir = join(cacheDir, version);
  const wrong = await checkBinaries(dir, version, machine);
  if (wrong !== undefined) return wrong;
  const origin = await cachedSource(dir);
  return { ...describe(version, cacheDir, 'cache'), ...(origin === undefined ? {} : { origin }) };
}

/** Undefined when the version is in the cache now. */
async function attempt(
  source: Source,
  version: string,
  context: SourceContext,
): Promise<FailedSource | undefined> {
  const stage = await createStage(context.cacheDir, version);
  try {
    await source.obtain(version, stage, context);
    const wrong = await checkBinaries(stage, version, context.machine);
    if (wrong !== undefined) throw new SourceFailure(wrong);
    await publish(stage, context.cacheDir, version, source.name, context.machine);
    return undefined;
  } catch (error) {
    // A full disk or a bug in one source must not hide what the others can do.
    const reason = error instanceof Error ? error.message : String(error);
    const advice = error instanceof SourceFailure ? error.advice : undefined;
    // Said once, however many versions it holds for.
    await context.once(`told ${source.name} ${reason}`, async () =>
      context.progress(`etcd ${version} not from ${source.name}: ${reason}`),
    );
    return { source: source.name, reason, ...(advice === undefined ? {} : { advice }) };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

function describe(version: string, root: string, source: SourceName): ResolvedEtcd {
  const dir = join(root, version);
  return {
    version,
    dir,
    root,
    etcd: join(dir, 'etcd'),
    etcdctl: join(dir, 'etcdctl'),
    etcdutl: join(dir, 'etcdutl'),
    source,
  };
}
