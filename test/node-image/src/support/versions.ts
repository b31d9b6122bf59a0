import { cachedVersions, defaultCacheDir } from '../../../../node-image/binaries/cache.ts';
import { systemMachine } from '../../../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../../../node-image/binaries/resolve.ts';
import { defaultVersion, minorOf, newestOfMinor } from '../../../../node-image/binaries/versions.ts';

/** The default version (made available if need be) and the newest of each other minor that is at hand. */
export async function etcdVersionsAtHand(): Promise<string[]> {
  await resolveEtcd(defaultVersion, { machine: systemMachine(process.env) });
  const cached = await cachedVersions(defaultCacheDir);
  const minors = new Set([defaultVersion, ...cached].map(minorOf));
  const newest = [...minors].map((minor) =>
    minor === minorOf(defaultVersion) ? defaultVersion : newestOfMinor(minor, cached)!,
  );
  return newest.sort();
}

export const etcdRoot: string = defaultCacheDir;
