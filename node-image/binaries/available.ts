import { join } from 'node:path';
import { preferredVersions } from './any.ts';
import { cachedVersions, checkBinaries, defaultCacheDir } from './cache.ts';
import type { FailedSource } from './failure.ts';
import { platformOf } from './machine.ts';
import { defaultSources, type ResolveOptions } from './resolve.ts';
import { createOnce, type SourceContext, SourceFailure, type SourceName } from './source.ts';
import { compareVersions, etcdVersions, type VersionState } from './versions.ts';

export interface AvailableVersion {
  readonly version: string;
  readonly state: VersionState;
  readonly reason?: string;
  /** Where it can be had, best first; empty: not on this machine. `directory` and `cache` are there already. */
  readonly sources: readonly SourceName[];
  readonly unavailable: readonly FailedSource[];
}

/**
 * Which known versions can be had here, newest first. Asks each source without downloading more than some kilobytes:
 * what it says can still fail (a proxy that knows a version may not have all of its modules).
 */
export async function availableVersions(options: ResolveOptions): Promise<AvailableVersion[]> {
  const { machine, cacheDir = defaultCacheDir, sources = defaultSources } = options;
  const platform = platformOf(machine);
  const context: SourceContext | undefined = platform && {
    machine,
    platform,
    cacheDir,
    allowUnpinned: options.allowUnpinned ?? false,
    progress: options.onProgress ?? (() => {}),
    once: options.once ?? createOnce(),
  };
  const known = Object.entries(etcdVersions.versions).sort(([a], [b]) => compareVersions(b, a));
  return Promise.all(
    known.map(async ([version, { state, reason }]) => {
      const ready: SourceName[] = [];
      const unavailable: FailedSource[] = [];
      if (options.directory && !(await checkBinaries(join(options.directory, version), version, machine))) {
        ready.push('directory');
      }
      const cached = (await cachedVersions(cacheDir)).includes(version);
      if (cached && !(await checkBinaries(join(cacheDir, version), version, machine))) ready.push('cache');
      for (const source of context === undefined ? [] : sources) {
        try {
          await source.probe(version, context!);
          ready.push(source.name);
        } catch (error) {
          if (!(error instanceof SourceFailure)) throw error;
          unavailable.push({ source: source.name, reason: error.message });
        }
      }
      return { version, state, ...(reason === undefined ? {} : { reason }), sources: ready, unavailable };
    }),
  );
}

/**
 * What a control plane on this machine can offer (the shape of ETCD_VERSIONS): supported versions that can be had;
 * deprecated ones only when there is no other. Undefined when there is none at all.
 */
export function offeredVersions(
  available: readonly AvailableVersion[],
): { default: string; offered: string[] } | undefined {
  const here = available.filter((entry) => entry.sources.length > 0);
  const inState = (state: VersionState) =>
    here.filter((entry) => entry.state === state).map((e) => e.version);
  const offered = inState('supported').length > 0 ? inState('supported') : inState('deprecated');
  const best = preferredVersions().find((version) => offered.includes(version));
  return best === undefined ? undefined : { default: best, offered: offered.sort(compareVersions) };
}
