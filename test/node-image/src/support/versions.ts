import { cachedVersions, defaultCacheDir } from '../../../../node-image/binaries/cache.ts';
import { systemMachine } from '../../../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../../../node-image/binaries/resolve.ts';
import versions from '../../../../node-image/etcd-versions.json' with { type: 'json' };

/** The default version (made available if need be) and the newest of each other minor that is at hand. */
export async function etcdVersionsAtHand(): Promise<string[]> {
  await resolveEtcd(versions.default, { machine: systemMachine(process.env) });
  const minorOf = (version: string) => version.split('.').slice(0, 2).join('.');
  const patchOf = (version: string) => Number(version.split('.')[2]);
  const newest = new Map<string, string>();
  for (const version of await cachedVersions(defaultCacheDir)) {
    const best = newest.get(minorOf(version));
    if (best === undefined || patchOf(best) < patchOf(version)) newest.set(minorOf(version), version);
  }
  newest.set(minorOf(versions.default), versions.default);
  return [...newest.values()].sort();
}

export const etcdRoot: string = defaultCacheDir;
