import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkOrder } from '../../../lambdas/core/wire/work.ts';
import { makePrivateDirectory } from '../files.ts';
import { hasWal } from '../member-disk.ts';
import { bumpArguments, runEtcdutl } from '../restore.ts';
import { fetchFailure, WorkError } from './failure.ts';
import { type FetchDeps, fetchFull } from './fetch.ts';

export interface SourceOptions extends FetchDeps {
  /** Mount of the task's volume: below it, one folder for each member that ever lived there. */
  readonly dataDir: string;
  /** Ours alone. */
  readonly workDirectory: string;
  readonly etcdutl: string;
  readonly memberName: string;
  readonly ip: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onPhase: (phase: 'downloading' | 'restoring', bytes?: number) => void;
}

/** A data directory for the scratch etcd. `alone`: it is a member's own. @throws WorkError */
export async function prepareSource(
  order: WorkOrder,
  options: SourceOptions,
  signal: AbortSignal,
): Promise<{ dataDirectory: string; alone: boolean }> {
  const { source, bucket } = order;
  if (source.kind === 'disk') {
    options.onPhase('restoring');
    return { dataDirectory: await formerData(options), alone: true };
  }
  const { workDirectory, etcdutl, memberName, ip, environment, onPhase } = options;
  await rm(workDirectory, { recursive: true, force: true });
  await makePrivateDirectory(workDirectory);
  const file = join(workDirectory, 'snapshot.db');
  const dataDirectory = join(workDirectory, 'etcd');
  onPhase('downloading', 0);
  const deps = { ...options, onBytes: (bytes: number) => onPhase('downloading', bytes) };
  await fetchFull({ bucket, source }, file, workDirectory, deps, signal);
  onPhase('restoring');
  const peer = `https://${ip}:2380`;
  await runEtcdutl(
    etcdutl,
    [
      'snapshot',
      'restore',
      file,
      `--name=${memberName}`,
      `--initial-cluster=${memberName}=${peer}`,
      '--initial-cluster-token=scratch',
      `--initial-advertise-peer-urls=${peer}`,
      `--data-dir=${dataDirectory}`,
      ...bumpArguments(source.bumpRevision),
    ],
    environment,
    signal,
  ).catch((error) => {
    throw fetchFailure(source.key, error);
  });
  await rm(file);
  return { dataDirectory, alone: false };
}

/** The volume is a copy made for this: opened where it is. @throws WorkError */
async function formerData({ dataDir, memberName }: SourceOptions): Promise<string> {
  const folders = (await readdir(dataDir, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && entry.name !== memberName)
    .map(({ name }) => join(dataDir, name, 'etcd'));
  const found = folders.filter(hasWal);
  if (found.length === 1) return found[0]!;
  throw new WorkError(
    'unusable',
    found.length === 0
      ? `There is no data of a member below ${dataDir}.`
      : `There is data of ${found.length} members below ${dataDir}, and nobody knows which is meant: ${found.join(', ')}.`,
  );
}
