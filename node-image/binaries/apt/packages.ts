import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import * as z from 'zod';
import { download } from '../download.ts';
import { type SourceContext, SourceFailure } from '../source.ts';
import { type AptArchive, parseDeb822 } from './config.ts';
import type { SuiteRelease } from './release.ts';

const packageSchema = z.object({
  package: z.string(),
  version: z.string(),
  filename: z.string().regex(/^[\w./+~%-]+$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type DebianPackage = z.infer<typeof packageSchema>;

export const etcdPackages = ['etcd-server', 'etcd-client'] as const;

/**
 * etcd's packages in one component of a suite. The index is some 10 MB; what it says of etcd is kept under the index's
 * own hash, so that it is fetched again only when the suite has changed.
 */
export async function fetchEtcdPackages(
  archive: AptArchive,
  suite: string,
  component: string,
  arch: string,
  release: SuiteRelease,
  workDir: string,
  context: SourceContext,
): Promise<DebianPackage[]> {
  const stem = `${component}/binary-${arch}/Packages`;
  const xz = await context.machine.which('xz');
  const path = [...(xz ? [`${stem}.xz`] : []), `${stem}.gz`].find((name) => release.hashes.has(name));
  if (path === undefined) {
    throw new SourceFailure(
      `${suite} has no index for ${component}/${arch} that can be unpacked here`,
      xz ? undefined : 'install xz-utils',
    );
  }
  const expected = release.hashes.get(path)!;
  const kept = join(context.cacheDir, '.index', `${expected}.json`);
  const known = await readKept(kept);
  if (known !== undefined) return known;

  context.progress(`downloading the package index of ${suite}`);
  const file = join(workDir, `${suite}.${path.split('.').pop()}`);
  const { sha256 } = await download(`${archive.uri}/dists/${suite}/${path}`, file, context);
  if (sha256 !== expected) {
    throw new SourceFailure(
      `the package index of ${suite} has SHA-256 ${sha256}, but its InRelease says ${expected}`,
      'the mirror is probably being updated: try again in some minutes',
    );
  }
  const packages = parsePackages(await unpack(file, xz, context), etcdPackages);
  await mkdir(join(context.cacheDir, '.index'), { recursive: true });
  const fresh = `${kept}.${randomUUID()}.tmp`;
  await writeFile(fresh, JSON.stringify(packages));
  await rename(fresh, kept);
  return packages;
}

/** The stanzas of the named packages. Searched as bytes: an index is 60 MB when unpacked. */
export function parsePackages(index: Buffer, names: readonly string[]): DebianPackage[] {
  return names.flatMap((name) => {
    const found: DebianPackage[] = [];
    const heading = `Package: ${name}\n`;
    for (let at = index.indexOf(heading); at !== -1; at = index.indexOf(heading, at + 1)) {
      if (at !== 0 && index[at - 1] !== 10) continue;
      const end = index.indexOf('\n\n', at);
      const stanza = parseDeb822(index.toString('utf8', at, end === -1 ? index.length : end))[0];
      const parsed = packageSchema.safeParse(stanza);
      if (parsed.success) found.push(parsed.data);
    }
    return found;
  });
}

/** `1:3.5.30+dfsg-2~bpo13+b1` → `3.5.30`: without epoch, Debian's revision and marks of repacking. */
export function upstreamVersion(debianVersion: string): string {
  return debianVersion
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace(/[+~].*$/, '');
}

async function readKept(path: string): Promise<DebianPackage[] | undefined> {
  try {
    return z.array(packageSchema).parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}

async function unpack(file: string, xz: string | undefined, { machine }: SourceContext): Promise<Buffer> {
  if (file.endsWith('.gz')) return promisify(gunzip)(await readFile(file));
  const result = await machine.exec(xz!, ['-dc', file], { timeoutMs: 120_000 });
  if (result.code !== 0) throw new SourceFailure(`xz cannot unpack the index: ${result.stderr.trim()}`);
  return result.stdout;
}
