import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { download } from '../download.ts';
import { type SourceContext, SourceFailure } from '../source.ts';
import type { AptArchive } from './config.ts';

/** What a suite's InRelease says about its files. */
export interface SuiteRelease {
  /** SHA-256 by path below `dists/<suite>/`. */
  readonly hashes: ReadonlyMap<string, string>;
  /** False when this machine could not check the signature. */
  readonly authenticated: boolean;
}

/**
 * The InRelease file of a suite, its signature checked by gpgv with the keys that apt itself trusts. A wrong signature
 * is a failure; a machine without gpgv or keys is told so and goes on, since every package is still checked against
 * the index. Valid-Until is not enforced: an exact version is asked for, so an old index cannot slip in another one.
 */
export async function fetchSuiteRelease(
  archive: AptArchive,
  suite: string,
  workDir: string,
  context: SourceContext,
): Promise<SuiteRelease> {
  const file = join(workDir, `${suite}.InRelease`);
  await download(`${archive.uri}/dists/${suite}/InRelease`, file, context);
  const { machine, progress } = context;
  const gpgv = await machine.which('gpgv');
  const keyrings = await keyringsOf(archive, machine.root);
  if (gpgv === undefined || keyrings.length === 0) {
    progress(
      `the index of ${suite} is NOT authenticated: ${gpgv === undefined ? 'gpgv is not installed' : 'no archive keys on this machine'}`,
    );
    return { hashes: parseHashes(await readFile(file, 'utf8')), authenticated: false };
  }
  const signed = `${file}.signed`;
  await rm(signed, { force: true });
  const result = await machine.exec(
    gpgv,
    ['--status-fd', '1', ...keyrings.flatMap((ring) => ['--keyring', ring]), '--output', signed, file],
    { timeoutMs: 30_000 },
  );
  const status = result.stdout.toString('utf8');
  // Suites are signed by several keys, of which an older machine knows some: one good one is enough, as for apt.
  if (!status.includes('[GNUPG:] VALIDSIG') || status.includes('[GNUPG:] BADSIG')) {
    throw new SourceFailure(
      `the index of ${suite} is not signed by a key this machine trusts`,
      'update the package that carries the archive keys (debian-archive-keyring)',
    );
  }
  return { hashes: parseHashes(await readFile(signed, 'utf8')), authenticated: true };
}

/** The SHA256 section: lines of ` <hash> <size> <path>`. */
export function parseHashes(release: string): Map<string, string> {
  const hashes = new Map<string, string>();
  let inSection = false;
  for (const line of release.split('\n')) {
    if (!line.startsWith(' ')) inSection = line.startsWith('SHA256:');
    else if (inSection) {
      const [hash, , path] = line.trim().split(/\s+/);
      if (hash && path) hashes.set(path, hash);
    }
  }
  return hashes;
}

async function keyringsOf(archive: AptArchive, root: string): Promise<string[]> {
  if (archive.signedBy.length > 0) return archive.signedBy.map((path) => join(root, path));
  const found: string[] = [];
  for (const folder of ['etc/apt/trusted.gpg.d', 'usr/share/keyrings']) {
    for (const name of await readdir(join(root, folder)).catch(() => [])) {
      const archiveKey = folder.startsWith('etc') || /-archive-/.test(name);
      if (archiveKey && /\.(gpg|asc)$/.test(name) && !name.includes('removed'))
        found.push(join(root, folder, name));
    }
  }
  return found;
}
