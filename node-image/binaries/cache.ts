import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Machine } from './machine.ts';
import { binaries, type SourceName } from './source.ts';

/** `.cache/etcd` of the checkout. `<dir>/<version>/{etcd,etcdctl,etcdutl}`: what NANNY_ETCD_DIR expects. */
export const defaultCacheDir: string = fileURLToPath(new URL('../../.cache/etcd', import.meta.url));

const noteFile = 'source.json';

/**
 * Undefined when the folder holds the three binaries, they run here and all are of the version; else what is wrong.
 * Running them is the only proof: a copy can be cut short, and a package of another release can lack its libc.
 */
export async function checkBinaries(
  dir: string,
  version: string,
  machine: Machine,
): Promise<string | undefined> {
  for (const name of binaries) {
    const path = join(dir, name);
    if (!(await isFile(path))) return `${name} is missing in ${dir}`;
    const result = await machine.exec(path, [name === 'etcd' ? '--version' : 'version'], {
      timeoutMs: 20_000,
    });
    const said = `${result.stdout.toString('utf8')}\n${result.stderr}`;
    const found = /version: v?(\S+)/i.exec(said)?.[1];
    if (result.code !== 0)
      return `${path} does not run here: ${said.trim().split('\n')[0] || `exit ${result.code}`}`;
    if (found !== version) return `${path} is ${found ?? 'of an unknown version'}, not ${version}`;
  }
  return undefined;
}

/** A folder inside the cache, on the same file system, so that publishing it is one rename. */
export async function createStage(cacheDir: string, version: string): Promise<string> {
  const stage = join(cacheDir, `.stage-${version}-${randomBytes(6).toString('hex')}`);
  await mkdir(stage, { recursive: true });
  return stage;
}

/** Stages that a killed process left. Only for the holder of the version's lock: nobody else stages it. */
export async function sweepStages(cacheDir: string, version: string): Promise<void> {
  for (const name of await list(cacheDir)) {
    if (name.startsWith(`.stage-${version}-`))
      await rm(join(cacheDir, name), { recursive: true, force: true });
  }
}

/**
 * Makes the staged binaries visible at once. A folder that is there already and works stays: whoever came first wins.
 * Returns the published folder.
 */
export async function publish(
  stage: string,
  cacheDir: string,
  version: string,
  source: SourceName,
  machine: Machine,
): Promise<string> {
  for (const name of binaries) await chmod(join(stage, name), 0o755);
  await writeFile(join(stage, noteFile), `${JSON.stringify({ version, source })}\n`);
  const dir = join(cacheDir, version);
  for (let attempt = 0; ; attempt += 1) {
    try {
      await rename(stage, dir);
      return dir;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if ((code !== 'ENOTEMPTY' && code !== 'EEXIST') || attempt === 3) throw error;
    }
    if ((await checkBinaries(dir, version, machine)) === undefined) {
      await rm(stage, { recursive: true, force: true });
      return dir;
    }
    // Broken: moved aside in one step, so that no reader meets a half-deleted folder under the version's name.
    const aside = `${stage}-broken-${attempt}`;
    await rename(dir, aside).catch(() => {});
    await rm(aside, { recursive: true, force: true });
  }
}

/** How a cached version came here; undefined for one that was put there by hand. */
export async function cachedSource(dir: string): Promise<string | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(join(dir, noteFile), 'utf8'));
    return typeof note === 'object' && note !== null && 'source' in note ? String(note.source) : undefined;
  } catch {
    return undefined;
  }
}

/** Versions that have a folder, whether they work or not. */
export async function cachedVersions(dir: string): Promise<string[]> {
  return (await list(dir)).filter((name) => /^\d+\.\d+\.\d+$/.test(name));
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

function list(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}
