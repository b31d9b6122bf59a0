import type { Log } from '../../../lambdas/core/ports.ts';
import type { WorkOrder, WorkProgress, WorkResult } from '../../../lambdas/core/wire/work.ts';
import { disarm } from '../admin/operations.ts';
import type { EtcdClient } from '../etcd/client.ts';
import { EtcdError } from '../etcd/errors.ts';
import { endOrphan } from '../orphan.ts';
import { findProgram } from '../programs.ts';
import type { S3Client } from '../s3/client.ts';
import type { Timing } from '../timing.ts';
import { WorkError } from './failure.ts';
import { findChain } from './fetch.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { publish } from './output.ts';
import { replay } from './replay.ts';
import { ScratchEtcd, type ScratchOptions } from './scratch.ts';
import { prepareSource } from './source.ts';

export interface WorkDeps
  extends Pick<
    ScratchOptions,
    'memberName' | 'ip' | 'pkiDirectory' | 'tls' | 'environment' | 'onScratch' | 'writeLog'
  > {
  readonly s3: S3Client;
  readonly etcdDir: string;
  readonly dataDir: string;
  readonly workDirectory: string;
  readonly onProgress: (progress: Extract<WorkProgress, { state: 'running' }>) => void;
  readonly log: Log;
  readonly timing: Timing;
}

const compactTimeoutMs = 10 * 60_000;
const hashTimeoutMs = 10 * 60_000;
const countTimeoutMs = 2 * 60_000;
const everything = Buffer.from([0]);

/** @throws WorkError, and whatever else is no fault of what was ordered */
export async function performWork(
  order: WorkOrder,
  deps: WorkDeps,
  signal: AbortSignal,
): Promise<WorkResult> {
  const { etcdDir, memberName, onProgress, timing, log } = deps;
  const startedAt = timing.now().getTime();
  const totalBytes = order.source.kind === 'full' ? order.source.bytes : undefined;
  const { dataDirectory, alone } = await prepareSource(
    order,
    {
      ...deps,
      etcdutl: findProgram(etcdDir, order.etcdVersion, 'etcdutl'),
      onPhase: (phase, bytes) =>
        onProgress({
          state: 'running',
          phase,
          ...(bytes !== undefined && { bytes, ...(totalBytes !== undefined && { totalBytes }) }),
        }),
    },
    signal,
  );
  const program = findProgram(etcdDir, order.etcdVersion, 'etcd');
  const version = order.etcdVersion;
  await endOrphan(dataDirectory, log, timing);
  const scratch = await ScratchEtcd.start({ ...deps, program, version, dataDirectory, alone }, signal);
  const keeping = new AbortController();
  try {
    const { client } = scratch;
    const leases = new LeaseKeeper(client, timing);
    await leases.begin();
    const kept = leases.run(keeping.signal);
    kept.catch(() => undefined);
    const made = await scratch.guard(finish(order, { ...deps, client, leases }, signal));
    const seconds = (timing.now().getTime() - startedAt) / 1_000;
    log.info('Work done', { ...made, seconds, member: memberName });
    return { ...made, seconds };
  } finally {
    keeping.abort();
    await scratch.stop();
  }
}

async function finish(
  order: WorkOrder,
  deps: WorkDeps & { client: EtcdClient; leases: LeaseKeeper },
  signal: AbortSignal,
): Promise<Omit<WorkResult, 'seconds'>> {
  const { client, leases, onProgress, s3, log } = deps;
  // Full or corrupt then: here there is room, and the hash tells.
  const { disarmed } = await disarm(client);
  if (disarmed > 0) log.warn('The source had alarms: disarmed in the scratch etcd', { disarmed });
  const source = await revisionOf(client);
  if (order.source.kind === 'full' && source !== order.source.revision) {
    throw new WorkError(
      'unusable',
      `The restored state is at revision ${source}, but ${order.source.revision} was noted for it.`,
      { key: order.source.key },
    );
  }
  onProgress({ state: 'running', phase: 'replaying', bytes: 0 });
  const chain = await findChain(order, source, deps);
  const { revision, replayed, lastSeenAtMs } = await replay(
    order,
    source,
    chain,
    {
      ...deps,
      etcd: client,
      onBytes: (bytes, totalBytes) => onProgress({ state: 'running', phase: 'replaying', bytes, totalBytes }),
    },
    signal,
  );
  log.info('Replayed', { from: source, to: revision, segments: chain.length });
  onProgress({ state: 'running', phase: 'checking' });
  if (order.compactRevision !== undefined) await compact(client, order.compactRevision);
  const { hash, compactRevision } = await client.call(
    'hashKv',
    { revision: String(revision) },
    hashTimeoutMs,
  );
  const range = { key: everything, rangeEnd: everything, revision: String(revision), countOnly: true };
  const { count } = await client.call('range', range, countTimeoutMs);
  const found = {
    revision,
    keys: Number(count),
    hash,
    compactRevision: Number(compactRevision),
    replayed,
    ...(lastSeenAtMs !== undefined && { lastSeenAt: new Date(lastSeenAtMs).toISOString() }),
    leases: leases.granted,
  };
  const { output: wanted } = order;
  if (wanted === undefined) return found;
  if (wanted.above !== undefined && revision <= wanted.above) {
    log.info('Not published: something else reaches as far', { revision, above: wanted.above });
    return found;
  }
  onProgress({ state: 'running', phase: 'uploading', bytes: 0 });
  const output = await publish(
    { s3, client, name: { bucket: order.bucket, key: wanted.key }, revision },
    (bytes, totalBytes) =>
      onProgress({
        state: 'running',
        phase: 'uploading',
        bytes,
        ...(totalBytes !== undefined && { totalBytes }),
      }),
    deps,
    signal,
  );
  return { ...found, output: { key: wanted.key, ...output } };
}

async function revisionOf(client: EtcdClient): Promise<number> {
  const range = { key: everything, rangeEnd: everything, countOnly: true };
  const { header } = await client.call('range', range, countTimeoutMs);
  return Number(header!.revision);
}

/** Compacted further already is for whoever compares hashes to see. */
async function compact(client: EtcdClient, revision: number): Promise<void> {
  if (revision <= 0) return;
  try {
    await client.call('compact', { revision: String(revision), physical: true }, compactTimeoutMs);
  } catch (error) {
    if (error instanceof EtcdError && error.code === 'compacted') return;
    if (!(error instanceof EtcdError) || error.code !== 'future-revision') throw error;
    throw new WorkError('unusable', `It cannot be compacted at ${revision}, which is beyond its end.`);
  }
}
