import type { DeltaRef } from '../../../lambdas/core/model/backup.ts';
import type { WorkOrder } from '../../../lambdas/core/wire/work.ts';
import type { RevisionRecord } from '../backup/segment.ts';
import type { EtcdClient } from '../etcd/client.ts';
import { WorkError } from './failure.ts';
import { type FetchDeps, fetchSegment } from './fetch.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

export interface Replayed {
  /** Of the state that was made. */
  readonly revision: number;
  readonly replayed: number;
  readonly lastSeenAtMs: number | undefined;
}

export interface ReplayDeps extends FetchDeps {
  readonly etcd: Pick<EtcdClient, 'call'>;
  readonly leases: LeaseKeeper;
  readonly onBytes: (bytes: number, totalBytes: number) => void;
}

/** A transaction of many large values takes etcd a while. */
const txnTimeoutMs = 120_000;

/**
 * Does again what the segments tell, one transaction for each revision, so that every key gets the revisions, version and
 * lease that it had.
 * @throws WorkError
 */
export async function replay(
  { bucket, until }: Pick<WorkOrder, 'bucket' | 'until'>,
  revision: number,
  chain: readonly DeltaRef[],
  deps: ReplayDeps,
  signal: AbortSignal,
): Promise<Replayed> {
  const untilMs = until?.at === undefined ? Number.POSITIVE_INFINITY : Date.parse(until.at);
  const untilRevision = until?.revision ?? Number.POSITIVE_INFINITY;
  const totalBytes = chain.reduce((sum, { bytes }) => sum + bytes, 0);
  let state: Replayed = { revision, replayed: 0, lastSeenAtMs: undefined };
  let bytes = 0;
  const fetched = (n: number) => {
    const segment = chain[n] && fetchSegment(bucket, chain[n], deps, signal);
    // Looked at when its turn comes.
    segment?.catch(() => undefined);
    return segment;
  };
  let next = fetched(0);
  for (const [n, delta] of chain.entries()) {
    const { leases, records } = (await next)!;
    next = fetched(n + 1);
    for (const lease of leases) await deps.leases.grant(lease);
    for (const record of records) {
      if (record.revision <= state.revision) continue;
      if (record.revision > untilRevision || record.seenAtMs > untilMs) return state;
      signal.throwIfAborted();
      await redo(record, delta.key, deps.etcd);
      const { revision: reached, seenAtMs: lastSeenAtMs } = record;
      state = { revision: reached, replayed: state.replayed + 1, lastSeenAtMs };
    }
    bytes += delta.bytes;
    deps.onBytes(bytes, totalBytes);
  }
  return state;
}

/** @throws WorkError when etcd gives it another revision, or did not have what is deleted */
async function redo(record: RevisionRecord, key: string, etcd: ReplayDeps['etcd']): Promise<void> {
  const success = record.changes.map((change) =>
    change.kind === 'put'
      ? { put: { key: change.key, value: change.value, lease: change.lease, prevKv: false } }
      : { deleteRange: { key: change.key, rangeEnd: Buffer.alloc(0), prevKv: false } },
  );
  const { header, responses } = await etcd.call('txn', { success } as never, txnTimeoutMs);
  const got = Number(header?.revision);
  if (got === record.revision) {
    const missing = responses.findIndex(({ deleteRange }) => deleteRange && deleteRange.deleted !== '1');
    if (missing === -1) return;
    const name = JSON.stringify(record.changes[missing]!.key.toString('utf8').slice(0, 200));
    throw new WorkError(
      'unusable',
      `Revision ${record.revision} deletes the key ${name}, which the state before it does not have: the segment does not belong to the source.`,
      { key },
    );
  }
  // Beyond it: a change nobody recorded, which in a scratch etcd is a lease that ended while the machine stood still.
  throw got > record.revision
    ? new WorkError(
        'passing',
        `etcd was at revision ${got} already when ${record.revision} was to be redone.`,
      )
    : new WorkError('unusable', `etcd gave revision ${got} to what was ${record.revision}.`, { key });
}
