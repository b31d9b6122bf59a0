import { rm } from 'node:fs/promises';
import { chainOf } from '../../../lambdas/core/backup/chain.ts';
import { beforeDeltaOf, type DeltaRef, readDeltaName } from '../../../lambdas/core/model/backup.ts';
import type { Log } from '../../../lambdas/core/ports.ts';
import type { WorkOrder } from '../../../lambdas/core/wire/work.ts';
import { DamagedSegmentError, type Segment, unpackSegment } from '../backup/segment.ts';
import { sentence } from '../log.ts';
import { spaceOf } from '../member-disk.ts';
import { download } from '../restore.ts';
import type { S3Client } from '../s3/client.ts';
import { unreachable } from '../s3/errors.ts';
import { backOffMs, type Timing } from '../timing.ts';
import { fetchFailure, mayPass, WorkError } from './failure.ts';

export interface FetchDeps {
  readonly s3: Pick<S3Client, 'get' | 'list'>;
  readonly log: Log;
  readonly timing: Timing;
}

/** About a minute and a half: another task has to begin anew. */
const tries = 7;
/** An object that is altered each time it comes is altered in the store. */
const alteredTries = 3;
const backOff = { firstMs: 1_000, maxMs: 30_000 };

async function persist<T>(
  key: string,
  deps: FetchDeps,
  signal: AbortSignal,
  once: () => Promise<T>,
): Promise<T> {
  let altered = 0;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await once();
    } catch (error) {
      if (error instanceof WorkError) throw error;
      const failure = fetchFailure(key, error);
      if (failure.code === 'damaged') altered += 1;
      const hopeless = !mayPass(error) || altered >= alteredTries || attempt + 1 >= tries;
      if (hopeless || signal.aborted) throw failure;
      deps.log.warn(`Not fetched, trying again: ${sentence(error)}`, { key });
      await deps.timing.sleep(backOffMs(attempt, deps.timing, backOff), signal);
    }
  }
}

/** @throws WorkError */
export async function fetchFull(
  { bucket, source }: { bucket: string; source: Extract<WorkOrder['source'], { kind: 'full' }> },
  file: string,
  directory: string,
  deps: FetchDeps & { onBytes: (bytes: number) => void },
  signal: AbortSignal,
): Promise<void> {
  const { key, sha256 } = source;
  const disk = { space: () => spaceOf(directory) };
  await persist(key, deps, signal, async () => {
    await rm(file, { force: true });
    await download({ bucket, key, sha256 }, file, { s3: deps.s3, disk, onBytes: deps.onBytes }, signal);
  });
}

/**
 * The segments that follow a revision, as far as they are wanted.
 * @throws WorkError `gap`
 */
export async function findChain(
  { bucket, deltas, until }: Pick<WorkOrder, 'bucket' | 'deltas' | 'until'>,
  revision: number,
  { s3 }: FetchDeps,
): Promise<readonly DeltaRef[]> {
  const wanted = {
    revision: until?.revision,
    atMs: until?.at === undefined ? undefined : Date.parse(until.at),
  };
  if (wanted.revision !== undefined && wanted.revision < revision) {
    throw new WorkError(
      'unusable',
      `The source is at revision ${revision}, beyond ${wanted.revision}, which is wanted: take an older one.`,
    );
  }
  const found: DeltaRef[] = [];
  const except = new Set(deltas?.except);
  if (deltas !== undefined) {
    for await (const page of s3.list(bucket, deltas.prefix, beforeDeltaOf(deltas.prefix, revision))) {
      const read = page.flatMap(({ key, bytes }) => readDeltaName(key, bytes) ?? []);
      found.push(...read.filter(({ key, last }) => last > revision && !except.has(key)));
      if (wanted.revision !== undefined && (read.at(-1)?.first ?? 0) > wanted.revision) break;
    }
  }
  const chain = chainOf(revision, found, wanted);
  if (chain.kind === 'whole') return chain.segments;
  const { from, to } = chain;
  throw new WorkError(
    'gap',
    `No segment below ${deltas?.prefix ?? 'any prefix'} holds revision ${from === to ? from : `${from} to ${to}`}.`,
  );
}

/** @throws WorkError `damaged`, also when it holds other revisions than its name says */
export async function fetchSegment(
  bucket: string,
  delta: DeltaRef,
  deps: FetchDeps,
  signal: AbortSignal,
): Promise<Segment> {
  const { key, first, last } = delta;
  return await persist(key, deps, signal, async () => {
    const { body } = await deps.s3.get({ bucket, key });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch (cause) {
      throw unreachable('GetObject', cause);
    }
    const segment = await unpackSegment(Buffer.concat(chunks));
    const { records } = segment;
    if (records[0]?.revision !== first || records.at(-1)?.revision !== last) {
      throw new DamagedSegmentError(
        `it holds revisions ${records[0]?.revision} to ${records.at(-1)?.revision}, not those of its name`,
      );
    }
    return segment;
  });
}
