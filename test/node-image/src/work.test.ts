import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TransientError } from '../../../lambdas/core/errors.ts';
import { type DeltaRef, deltaName, readDeltaName } from '../../../lambdas/core/model/backup.ts';
import type { WorkProgress } from '../../../lambdas/core/wire/work.ts';
import { packSegment, type RevisionRecord } from '../../../node-image/src/backup/segment.ts';
import { S3Client } from '../../../node-image/src/s3/client.ts';
import { S3Error } from '../../../node-image/src/s3/errors.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { fetchSegment, findChain } from '../../../node-image/src/work/fetch.ts';
import { LeaseKeeper } from '../../../node-image/src/work/lease-keeper.ts';
import { replay } from '../../../node-image/src/work/replay.ts';
import { WorkReporting } from '../../../node-image/src/work/reporting.ts';
import { bucketName, LocalS3 } from './support/local-s3.ts';
import { until } from './support/until.ts';

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const timing = {
  ...realTiming,
  sleep: (ms: number, signal?: AbortSignal) => realTiming.sleep(ms / 500, signal),
};
const never = new AbortController().signal;
const prefix = 'c1/acme/1/delta/';
const id = '01K00000000000000000000000';
const change = (key: string) => ({
  kind: 'put' as const,
  key: Buffer.from(key),
  value: Buffer.from('v'),
  lease: '0',
});
const record = (revision: number, seenAtMs = revision * 1_000): RevisionRecord => ({
  revision,
  seenAtMs,
  changes: [change(`k${revision}`)],
});
const refOf = (first: number, last: number): DeltaRef =>
  readDeltaName(`${prefix}${deltaName(first, last, id)}`, 100)!;

/** Objects by key; `fail` is thrown for the next so many calls. */
function store(objects: Record<string, Buffer>) {
  const state = { fail: [] as Error[], gets: 0 };
  const s3 = {
    get: async ({ key }: { key: string }) => {
      state.gets += 1;
      const failure = state.fail.shift();
      if (failure) throw failure;
      const body = objects[key];
      if (body === undefined) throw new S3Error('NoSuchKey', 'no', { status: 404, retryable: false });
      return { size: body.length, body: Readable.from([body]) as never };
    },
    async *list(_: string, below: string) {
      yield Object.entries(objects)
        .filter(([key]) => key.startsWith(below))
        .sort()
        .map(([key, { length }]) => ({ key, bytes: length }));
    },
  };
  return { state, deps: { s3, log: quiet, timing } };
}

async function segments(...spans: [number, number][]): Promise<Record<string, Buffer>> {
  const objects: Record<string, Buffer> = {};
  for (const [first, last] of spans) {
    const records = Array.from({ length: last - first + 1 }, (_, n) => record(first + n));
    objects[refOf(first, last).key] = await packSegment({ leases: [], records });
  }
  return objects;
}

describe('the segments of a work order', () => {
  test('are found, and what is missing among them is named', async () => {
    const { deps } = store(await segments([5, 9], [8, 12], [13, 14], [17, 20]));
    const order = { bucket: 'b', deltas: { prefix } };
    const found = await findChain({ ...order, until: { revision: 14 } }, 9, deps);
    expect(found.map(({ first }) => first)).toEqual([8, 13]);
    await expect(findChain(order, 9, deps)).rejects.toMatchObject({
      failure: { code: 'gap', problem: expect.stringContaining('15 to 16') },
    });
    await expect(findChain({ ...order, until: { revision: 8 } }, 9, deps)).rejects.toMatchObject({
      failure: { code: 'unusable' },
    });
    expect(await findChain({ bucket: 'b' }, 9, deps)).toEqual([]);
  });

  test('that were found damaged are gone round, or as good as missing', async () => {
    const { deps } = store(await segments([5, 9], [5, 7], [8, 12]));
    const except = [refOf(5, 9).key];
    const order = { bucket: 'b', deltas: { prefix, except } };
    expect((await findChain(order, 4, deps)).map(({ last }) => last)).toEqual([7, 12]);
    const less = { bucket: 'b', deltas: { prefix, except: [...except, refOf(5, 7).key] } };
    await expect(findChain(less, 4, deps)).rejects.toMatchObject({ failure: { code: 'gap' } });
  });

  test('are fetched again when S3 has a fault, and given up when they are damaged or missing', async () => {
    const objects = await segments([5, 6]);
    const { deps, state } = store(objects);
    const delta = refOf(5, 6);
    state.fail = [1, 2, 3].map(() => new S3Error('SlowDown', 'slow', { retryable: true }));
    expect((await fetchSegment('b', delta, deps, never)).records.length).toBe(2);
    expect(state.gets).toBe(4);
    objects[delta.key]![20]! ^= 1;
    await expect(fetchSegment('b', delta, deps, never)).rejects.toMatchObject({
      failure: { code: 'damaged', key: delta.key },
    });
    expect(state.gets).toBe(7);
    await expect(fetchSegment('b', refOf(7, 8), deps, never)).rejects.toMatchObject({
      failure: { code: 'damaged', key: refOf(7, 8).key, problem: expect.stringContaining('missing') },
    });
    objects[refOf(7, 9).key] = (await segments([5, 6]))[delta.key]!;
    await expect(fetchSegment('b', refOf(7, 9), deps, never)).rejects.toThrow('not those of its name');
    state.fail = Array.from(
      { length: 20 },
      () => new S3Error('AccessDenied', 'no', { status: 403, retryable: false }),
    );
    await expect(fetchSegment('b', delta, deps, never)).rejects.toMatchObject({
      failure: { code: 'passing' },
    });
  });
});

describe('replaying', () => {
  async function redo(until: { revision?: number; at?: string } | undefined, drift = 0, deleted = '1') {
    const objects = await segments([5, 7], [6, 9]);
    let revision = 4 + drift;
    const etcd = {
      call: (async () => {
        revision += 1;
        return { header: { revision: String(revision) }, responses: [{ deleteRange: { deleted } }] };
      }) as never,
    };
    const { deps } = store(objects);
    const chain = [refOf(5, 7), refOf(6, 9)];
    const leases = new LeaseKeeper(etcd, timing);
    return await replay(
      { bucket: 'b', until },
      4,
      chain,
      { ...deps, etcd, leases, onBytes: () => undefined },
      never,
    );
  }

  test('does each revision once, up to the revision or the moment that is wanted', async () => {
    expect(await redo(undefined)).toEqual({ revision: 9, replayed: 5, lastSeenAtMs: 9_000 });
    expect(await redo({ revision: 6 })).toEqual({ revision: 6, replayed: 2, lastSeenAtMs: 6_000 });
    expect(await redo({ at: new Date(7_999).toISOString() })).toMatchObject({ revision: 7 });
    expect(await redo({ at: new Date(8_000).toISOString() })).toMatchObject({ revision: 8 });
    expect(await redo({ at: new Date(0).toISOString() })).toEqual({
      revision: 4,
      replayed: 0,
      lastSeenAtMs: undefined,
    });
  });

  test('stops at once when etcd gives another revision than the recorded one, or deletes nothing', async () => {
    await expect(redo(undefined, 1)).rejects.toMatchObject({ failure: { code: 'passing' } });
    await expect(redo(undefined, -1)).rejects.toMatchObject({
      failure: { code: 'unusable', key: refOf(5, 7).key },
    });
    await expect(redo(undefined, 0, '0')).rejects.toMatchObject({ failure: { code: 'unusable' } });
  });
});

test('every lease is granted once, under its old id, and kept alive four times in its life', async () => {
  const called: string[] = [];
  let now = 0;
  const etcd = {
    call: (async (name: string, { id: lease, ttl }: { id: string; ttl?: string }) => {
      called.push(`${name} ${lease ?? ''} ${ttl ?? ''}`.trim());
      return name === 'leaseList' ? { leases: [{ id: '7' }] } : { ttl: '8' };
    }) as never,
  };
  const stopping = new AbortController();
  const keeper = new LeaseKeeper(etcd, {
    ...realTiming,
    now: () => new Date(now),
    sleep: async () => {
      now += 1_000;
      if (now >= 9_000) stopping.abort();
    },
  });
  await keeper.begin();
  await keeper.grant({ id: '7', ttl: 60 });
  await keeper.grant({ id: '9', ttl: 0 });
  await keeper.grant({ id: '9', ttl: 0 });
  expect(called).toEqual(['leaseList', 'leaseKeepAlive 7', 'leaseGrant 9 60']);
  expect(keeper.granted).toBe(1);
  await keeper.run(stopping.signal);
  expect(called.filter((each) => each === 'leaseKeepAlive 7').length).toBe(5);
});

test('each phase is told at once, and the end until it is answered', async () => {
  const told: WorkProgress[] = [];
  let down = 0;
  let leaves = false;
  const reporting = new WorkReporting({
    who: { tenantId: 'acme', memberName: 'maaaaaaa1' },
    orderId: id,
    client: {
      work: async ({ progress }) => {
        if (down > 0) {
          down -= 1;
          throw new TransientError('down');
        }
        told.push(progress);
        return { leave: leaves };
      },
    },
    log: quiet,
    timing: realTiming,
  });
  const stopping = new AbortController();
  const running = reporting.run(stopping.signal);
  reporting.offer({ state: 'running', phase: 'downloading', bytes: 1 });
  await until('it is told', () => told.length === 1, 1_000);
  reporting.offer({ state: 'running', phase: 'restoring' });
  await until('it is told at once', () => told.length === 2, 1_000);
  stopping.abort();
  expect(await running).toBe(false);
  down = 2;
  setTimeout(() => {
    leaves = true;
  }, 2_500);
  const end: WorkProgress = { state: 'failed', code: 'gap', problem: 'x' };
  await reporting.finish(end, never);
  expect(told.length).toBeGreaterThan(3);
  expect(told.at(-1)).toEqual(end);
});

describe('names in a bucket', () => {
  const local = new LocalS3('127.75.5.2', 4758);
  beforeAll(() => local.start());
  afterAll(() => local.stop());

  test('are listed page by page, after a name, with their sizes', async () => {
    for (let n = 1; n <= 1_050; n += 1)
      await local.seed(`${prefix}${String(n).padStart(5, '0')} & more`, Buffer.from('x'));
    await local.seed('c1/other/1/delta/1', Buffer.from('x'));
    const credentials = async () => ({
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'secret',
      sessionToken: 'session',
    });
    const s3 = new S3Client({ region: 'eu-central-1', endpoint: local.url, credentials, timing });
    const pages: number[] = [];
    const keys: string[] = [];
    for await (const page of s3.list(bucketName, prefix, `${prefix}00010 & more`)) {
      pages.push(page.length);
      keys.push(...page.map(({ key }) => key));
      expect(page.every(({ bytes }) => bytes === 1)).toBe(true);
    }
    s3.close();
    expect(pages).toEqual([1_000, 40]);
    expect([keys[0], keys.at(-1)]).toEqual([`${prefix}00011 & more`, `${prefix}01050 & more`]);
  });
});
