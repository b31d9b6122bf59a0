import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { download, reasonOf } from '../download.ts';
import { binaries, type Source, type SourceContext, SourceFailure } from '../source.ts';
import { type EtcdVersions, etcdVersions, knownVersion } from '../versions.ts';

const releases = 'https://github.com/etcd-io/etcd/releases/download';

/** The archive that the etcd project publishes. Used only when its SHA-256 is pinned, or when the user insists. */
export function createReleaseSource(versions: EtcdVersions): Source {
  return {
    name: 'release',
    async probe(version, context) {
      pinOf(version, versions, context);
      await reachable(context);
    },
    async obtain(version, stage, context) {
      const pinned = pinOf(version, versions, context);
      await reachable(context);
      await fetchArchive(version, pinned, stage, context);
    },
  };
}

export const releaseSource: Source = createReleaseSource(etcdVersions);

async function fetchArchive(
  version: string,
  pinned: string | undefined,
  stage: string,
  context: SourceContext,
): Promise<void> {
  const folder = `etcd-v${version}-${context.platform}`;
  const archive = `${folder}.${context.platform.startsWith('linux-') ? 'tar.gz' : 'zip'}`;
  const target = join(stage, archive);
  context.progress(`downloading the release archive ${archive}`);
  const { sha256 } = await download(`${releases}/v${version}/${archive}`, target, context);
  if (pinned === undefined) {
    context.progress(`${archive} has SHA-256 ${sha256}: not pinned, used because you allowed it`);
  } else if (sha256 !== pinned) {
    throw new SourceFailure(
      `${archive} has SHA-256 ${sha256}, but ${pinned} is pinned: it is not the published archive and was thrown away`,
      'try again from another network; something between here and the release site may have changed the file',
    );
  }
  await unpack(target, stage, folder, context);
}

function pinOf(
  version: string,
  versions: EtcdVersions,
  { platform, allowUnpinned }: SourceContext,
): string | undefined {
  const pinned = knownVersion(version, versions)?.archives[platform];
  if (pinned === undefined && !allowUnpinned) {
    throw new SourceFailure(
      `no SHA-256 is pinned for its ${platform} archive`,
      'pass --allow-unpinned to use the archive as it comes, or add its SHA-256 to node-image/etcd-versions.json',
    );
  }
  return pinned;
}

function reachable({ machine, once, progress }: SourceContext): Promise<void> {
  return once('release site', async () => {
    const slow = setTimeout(() => progress('waiting for the release site'), 2_000);
    try {
      const response = await machine.fetch(`${releases}/`, {
        method: 'HEAD',
        redirect: 'manual',
        signal: AbortSignal.timeout(8_000),
      });
      await response.body?.cancel();
    } catch (error) {
      throw new SourceFailure(
        `${new URL(releases).host} cannot be reached: ${reasonOf(error)}`,
        'behind a proxy, set HTTPS_PROXY, HTTP_PROXY and NODE_USE_ENV_PROXY=1',
      );
    } finally {
      clearTimeout(slow);
    }
  });
}

async function unpack(
  archive: string,
  stage: string,
  folder: string,
  { machine }: SourceContext,
): Promise<void> {
  const into = join(stage, 'unpacked');
  await mkdir(into);
  // bsdtar, the tar of macOS, reads zip files too.
  const result = await machine.exec('tar', ['-xf', archive, '-C', into], { timeoutMs: 120_000 });
  if (result.code !== 0) throw new SourceFailure(`tar cannot unpack it: ${result.stderr.trim()}`);
  for (const name of binaries) await rename(join(into, folder, name), join(stage, name));
  await rm(into, { recursive: true });
  await rm(archive);
}
