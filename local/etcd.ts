import { resolveDefault } from '../node-image/binaries/any.ts';
import { cachedVersions, checkBinaries, defaultCacheDir } from '../node-image/binaries/cache.ts';
import { type Machine, systemMachine } from '../node-image/binaries/machine.ts';
import { isOffered } from '../node-image/binaries/versions.ts';

export interface EtcdBinaries {
  /** NANNY_ETCD_DIR: `<directory>/<version>/{etcd,etcdctl,etcdutl}`. */
  readonly directory: string;
  readonly versions: readonly string[];
}

/**
 * What the "image" of this machine holds: every version of the directory that works, and if there is none the default
 * version is fetched or built.
 */
export async function findEtcd(options: {
  readonly directory?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (line: string) => void;
}): Promise<EtcdBinaries> {
  const directory = options.directory ?? defaultCacheDir;
  const machine = systemMachine(options.environment);
  const there = await workingVersions(directory, machine);
  if (there.length > 0) return { directory, versions: there };
  const made = await resolveDefault({ machine, cacheDir: directory, onProgress: options.onProgress });
  return { directory: made.root, versions: [made.version] };
}

async function workingVersions(directory: string, machine: Machine): Promise<string[]> {
  const versions = (await cachedVersions(directory)).filter((version) => isOffered(version));
  const problems = await Promise.all(
    versions.map((version) => checkBinaries(`${directory}/${version}`, version, machine)),
  );
  return versions.filter((_version, index) => problems[index] === undefined);
}
