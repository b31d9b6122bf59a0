import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type AptArchive, readAptArchives } from '../apt/config.ts';
import { type DebianPackage, etcdPackages, fetchEtcdPackages, upstreamVersion } from '../apt/packages.ts';
import { fetchSuiteRelease } from '../apt/release.ts';
import { isFile } from '../cache.ts';
import { download, reasonOf, withoutCredentials } from '../download.ts';
import { binaries, type Source, type SourceContext, SourceFailure } from '../source.ts';
import { knownVersion } from '../versions.ts';

/** Suites that may carry etcd, and where: looked at besides those the machine itself is set up for. */
const distributions: Record<string, { component: string; suites: readonly string[] }> = {
  debian: { component: 'main', suites: ['bookworm', 'trixie', 'forky', 'sid'] },
  ubuntu: { component: 'universe', suites: ['noble', 'plucky', 'questing'] },
};

/**
 * The distribution's packages etcd-server and etcd-client, from whichever suite of the machine's own mirror carries
 * the version. Nothing is installed and no root is needed: the packages are only unpacked.
 */
export const debianSource: Source = {
  name: 'debian',
  async probe(version, context) {
    const { archive, suites } = await mirror(context);
    const suite = knownVersion(version)?.debianSuites.find((name) => suites.includes(name));
    if (suite === undefined) throw new SourceFailure('no suite is known to carry it');
    await context.once(`suite ${suite}`, async () => {
      const { url, headers } = withoutCredentials(`${archive.uri}/dists/${suite}/InRelease`);
      const response = await context.machine
        .fetch(url, {
          headers,
          method: 'HEAD',
          signal: AbortSignal.timeout(8_000),
        })
        .catch((error: unknown) => {
          throw new SourceFailure(`the package mirror cannot be reached: ${reasonOf(error)}`);
        });
      if (!response.ok) throw new SourceFailure(`the package mirror has no ${suite}`);
    });
  },
  async obtain(version, stage, context) {
    const { archive } = await mirror(context);
    const { found, seen, problems } = await context.once('debian packages', () => findPackages(context));
    const packages = etcdPackages.map((name) =>
      found.find((entry) => entry.package === name && upstreamVersion(entry.version) === version),
    );
    const missing = etcdPackages.filter((_, i) => packages[i] === undefined);
    if (missing.length > 0) {
      const offered = [...new Set(found.map((entry) => upstreamVersion(entry.version)))].join(', ');
      const notes = [`the suites ${seen.join(', ') || '(none)'} carry ${offered || 'no etcd'}`, ...problems];
      throw new SourceFailure(`no package of it: ${notes.join('; ')}`);
    }
    for (const entry of packages) await unpackPackage(entry!, archive, stage, context);
    for (const name of binaries) {
      const path = join(stage, 'root/usr/bin', name);
      if (!(await isFile(path))) throw new SourceFailure(`its packages have no ${name}`);
      await rename(path, join(stage, name));
    }
    await rm(join(stage, 'root'), { recursive: true });
  },
};

interface Mirror {
  readonly archive: AptArchive;
  readonly component: string;
  readonly suites: readonly string[];
  readonly arch: string;
}

/** The archive this machine installs its own release from: other suites live next to it. */
function mirror(context: SourceContext): Promise<Mirror> {
  const { machine, once, platform } = context;
  return once('mirror', async () => {
    if (!platform.startsWith('linux-') || (await machine.which('dpkg-deb')) === undefined) {
      throw new SourceFailure('this is not a Debian or Ubuntu machine (no dpkg-deb)');
    }
    const release = await readFile(join(machine.root, 'etc/os-release'), 'utf8').catch(() => '');
    const value = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? '';
    const distribution = distributions[value('ID')];
    if (distribution === undefined)
      throw new SourceFailure(`packages of ${value('ID') || 'this system'} are not known`);
    const archives = await readAptArchives(machine.root);
    const own = archives.filter((entry) => /^https?:/.test(entry.uri) && entry.components.includes('main'));
    const archive = own.find((entry) => entry.suites.includes(value('VERSION_CODENAME'))) ?? own[0];
    if (archive === undefined) {
      throw new SourceFailure(
        'no http mirror in the configuration of apt (etc/apt)',
        'add one to etc/apt/sources.list.d',
      );
    }
    const suites = [...new Set([...archive.suites, ...distribution.suites])];
    return { archive, component: distribution.component, suites, arch: platform.slice('linux-'.length) };
  });
}

interface Findings {
  readonly found: DebianPackage[];
  readonly seen: string[];
  readonly problems: string[];
}

async function findPackages(context: SourceContext): Promise<Findings> {
  const { archive, component, suites, arch } = await mirror(context);
  const workDir = await mkdtemp(join(tmpdir(), 'etcd-nanny-apt-'));
  const findings: Findings = { found: [], seen: [], problems: [] };
  try {
    for (const suite of suites) {
      try {
        context.progress(`looking for etcd in ${suite}`);
        const release = await fetchSuiteRelease(archive, suite, workDir, context);
        findings.found.push(
          ...(await fetchEtcdPackages(archive, suite, component, arch, release, workDir, context)),
        );
        findings.seen.push(suite);
      } catch (error) {
        if (!(error instanceof SourceFailure)) throw error;
        const advice = error.advice === undefined ? '' : ` (${error.advice})`;
        findings.problems.push(`${suite}: ${error.message}${advice}`);
      }
    }
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
  return findings;
}

async function unpackPackage(
  entry: DebianPackage,
  archive: AptArchive,
  stage: string,
  context: SourceContext,
): Promise<void> {
  const file = join(stage, basename(entry.filename));
  context.progress(`downloading the package ${basename(entry.filename)}`);
  const { sha256 } = await download(`${archive.uri}/${entry.filename}`, file, context);
  if (sha256 !== entry.sha256) {
    throw new SourceFailure(`${basename(file)} has SHA-256 ${sha256}, but the index says ${entry.sha256}`);
  }
  const result = await context.machine.exec('dpkg-deb', ['-x', file, join(stage, 'root')], {
    timeoutMs: 60_000,
  });
  if (result.code !== 0) throw new SourceFailure(`dpkg-deb cannot unpack it: ${result.stderr.trim()}`);
  await rm(file);
}
