import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { RestoreOrder } from '../../lambdas/core/wire/join.ts';
import { makePrivateDirectory, syncDirectory } from './files.ts';
import type { MemberDisk } from './member-disk.ts';
import type { S3Client } from './s3/client.ts';

export interface RestoreOptions {
  readonly disk: Pick<MemberDisk, 'restoreDirectory' | 'etcdDirectory' | 'space'>;
  readonly s3: Pick<S3Client, 'get'>;
  /** Path of the version's etcdutl. */
  readonly etcdutl: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly memberName: string;
}

export interface DownloadOptions extends Pick<RestoreOptions, 's3'> {
  readonly disk: Pick<MemberDisk, 'space'>;
  readonly onBytes?: (bytes: number) => void;
}

/** What was fetched is not what was ordered, or etcd does not accept it: trying again is of no use for long. */
export class WrongSnapshotError extends ControlPlaneError {}

/** Snapshot and the data made of it are on the disk at once, and etcd needs room for its WAL. */
const roomFactor = 2;
const walBytes = 256 * 1024 * 1024;
/** 1 GB takes 2.5 s; a slow disk takes longer. */
const etcdutlTimeoutMs = 15 * 60_000;

/**
 * Makes this member's first data of a snapshot. The data directory appears whole or not at all: everything is made
 * beside it, flushed to the disk and then renamed. Call it only for a disk without data.
 * @throws WrongSnapshotError, S3Error, ControlPlaneError
 */
export async function restoreSnapshot(
  order: RestoreOrder,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<void> {
  const { disk } = options;
  const directory = disk.restoreDirectory;
  await rm(directory, { recursive: true, force: true });
  await makePrivateDirectory(directory);
  const file = join(directory, 'snapshot.db');
  const made = join(directory, 'etcd');
  await download(order, file, options, signal);
  await runEtcdutl(
    options.etcdutl,
    [
      'snapshot',
      'restore',
      file,
      `--name=${options.memberName}`,
      `--initial-cluster=${order.initialCluster}`,
      `--initial-cluster-token=${order.token}`,
      `--initial-advertise-peer-urls=${order.initialAdvertisePeerUrl}`,
      `--data-dir=${made}`,
      ...bumpArguments(order.bumpRevision),
    ],
    options.environment,
    signal,
  );
  await rm(file);
  await syncTree(made);
  // Without a WAL it is no data (an etcd that never got that far); rename takes the place of an empty directory only.
  await rm(disk.etcdDirectory, { recursive: true, force: true });
  await rename(made, disk.etcdDirectory);
  await syncDirectory(dirname(disk.etcdDirectory));
  await rm(directory, { recursive: true, force: true });
}

/** etcd wants both or none. */
export const bumpArguments = (bumpRevision = 0): string[] =>
  bumpRevision > 0 ? [`--bump-revision=${bumpRevision}`, '--mark-compacted'] : [];

/** @throws WrongSnapshotError when it is not the one that was ordered, S3Error, ControlPlaneError `no-room` */
export async function download(
  order: Pick<RestoreOrder, 'bucket' | 'key' | 'sha256'>,
  file: string,
  { s3, disk, onBytes }: DownloadOptions,
  signal: AbortSignal,
): Promise<void> {
  const { size, body } = await s3.get(order);
  const { freeBytes } = await disk.space();
  const needed = size * roomFactor + walBytes;
  if (freeBytes < needed) {
    body.destroy();
    throw new ControlPlaneError(
      'no-room',
      `The snapshot of ${size} bytes needs ${needed} bytes of free disk to be restored, and there are ${freeBytes}: give the tenant more storage.`,
    );
  }
  const hash = createHash('sha256');
  let bytes = 0;
  await pipeline(
    body,
    async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        hash.update(chunk);
        bytes += chunk.length;
        onBytes?.(bytes);
        yield chunk;
      }
    },
    createWriteStream(file, { mode: 0o600 }),
    { signal },
  );
  const found = hash.digest('hex');
  if (found !== order.sha256) {
    throw new WrongSnapshotError(
      'altered-snapshot',
      `The snapshot ${order.key} has SHA-256 ${found}, but ${order.sha256} was ordered: it was altered, or is another one.`,
    );
  }
}

/** @throws WrongSnapshotError when it does not take the snapshot, ControlPlaneError */
export async function runEtcdutl(
  program: string,
  args: readonly string[],
  environment: RestoreOptions['environment'],
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment as NodeJS.ProcessEnv,
    signal: AbortSignal.any([signal, AbortSignal.timeout(etcdutlTimeoutMs)]),
    killSignal: 'SIGKILL',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(
        new ControlPlaneError('etcdutl-failed', `etcdutl could not be run: ${cause.message}`, { cause }),
      ),
    );
    child.on('close', resolve);
  });
  if (code === 0) return;
  const last = said.trim().split('\n').at(-1) ?? '';
  const message = `etcdutl snapshot restore ended with code ${code}: ${last.slice(0, 500)}`;
  // A full disk is no fault of the snapshot.
  throw /no space left/i.test(said)
    ? new ControlPlaneError('no-room', message)
    : new WrongSnapshotError('not-restorable', message);
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) {
      await syncDirectory(path);
      continue;
    }
    const file = await open(path, 'r+');
    await file.sync().finally(() => file.close());
  }
  await syncDirectory(directory);
}
