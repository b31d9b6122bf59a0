import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Credentials } from '../../../node-image/src/credentials.ts';
import { S3Client } from '../../../node-image/src/s3/client.ts';
import { bucketAddress } from '../../../node-image/src/s3/endpoint.ts';
import { BoltRevision } from '../../../node-image/src/snapshot/bolt-revision.ts';
import { Snapshots, type SnapshotsOptions } from '../../../node-image/src/snapshot/snapshots.ts';
import { TrailingHash } from '../../../node-image/src/snapshot/trailing-hash.ts';
import { partBytes, uploadSnapshot } from '../../../node-image/src/snapshot/upload.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { boltFile, pieces, snapshotFile } from './support/bolt-file.ts';
import { bucketName, LocalS3 } from './support/local-s3.ts';
import { until } from './support/until.ts';

const store = new LocalS3('127.75.5.1', 4756);
const credentials = async (): Promise<Credentials> => ({
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'secret',
  sessionToken: 'session',
});
const timing = { ...realTiming, sleep: (ms: number) => realTiming.sleep(ms / 100) };
const s3 = new S3Client({ region: 'eu-central-1', endpoint: store.url, credentials, timing });
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const many = Array.from({ length: 500 }, (_, n) => n + 2);
const small = snapshotFile({ revisions: many });
const large = snapshotFile({ revisions: many, padToBytes: 20 * 1024 * 1024 });
const contentAt = '2026-11-22T12:00:00.000Z';
let count = 0;
let name: { bucket: string; key: string };

beforeAll(() => store.start());
afterAll(async () => {
  s3.close();
  await store.stop();
});
beforeEach(() => {
  count += 1;
  name = { bucket: bucketName, key: `c1/acme/1/full/a key (${count}).snap` };
  store.intercept = () => undefined;
  store.calls.length = 0;
});

const upload = (file: Buffer, size?: number, client: S3Client = s3) =>
  uploadSnapshot(client, name, pieces(file, size), {
    onProgress: () => undefined,
    onUpload: async () => undefined,
    signal: new AbortController().signal,
    now: () => new Date(contentAt),
  });
const expected = (file: Buffer) => ({
  bytes: file.length,
  sha256: createHash('sha256').update(file).digest('hex'),
  revision: 501,
  contentAt,
});
const nothingStays = async () => {
  expect(store.bucket.objects.has(name.key)).toBe(false);
  expect([...store.bucket.uploads.values()]).toEqual([]);
};

describe('the revision of a database file that streams by', () => {
  test.each([
    ['many keys', { revisions: many }, 501],
    ['stale pages with higher revisions', { revisions: many, padToBytes: 400_000 }, 501],
    ['a bucket inside the root page', { revisions: [2, 3, 9], inline: true }, 9],
    ['one key', { revisions: [2] }, 2],
    ['none yet: the one that the first change comes after', { revisions: [], inline: true }, 1],
  ])('is that of its last key: %s', (_, options, revision) => {
    const file = boltFile(options);
    for (const size of [1, 100, 4096, 33_333, file.length]) {
      if (size === 1 && file.length > 100_000) continue;
      const reader = new BoltRevision();
      for (let at = 0; at < file.length; at += size) reader.update(file.subarray(at, at + size));
      expect(reader.finish()).toBe(revision);
    }
  });

  test('is refused where there is none', () => {
    expect(() => new BoltRevision().update(Buffer.alloc(4096, 1))).toThrow('not begin with the meta page');
    const cut = new BoltRevision();
    cut.update(boltFile({ revisions: many }).subarray(0, 4 * 4096));
    expect(() => cut.finish()).toThrow('cannot be read');
  });
});

test('the hash at the end is found whatever the pieces are', () => {
  for (const size of [1, 31, 32, 33, 4096, small.length]) {
    const hash = new TrailingHash();
    for (let at = 0; at < small.length; at += size) hash.update(small.subarray(at, at + size));
    expect(hash.finish()).toBe(expected(small).sha256);
  }
});

describe('a snapshot on its way to S3', () => {
  test.each([
    ['small, at once', small, ['PutObject']],
    [
      'large, in parts',
      large,
      [
        'CreateMultipartUpload',
        ...Array.from({ length: Math.ceil(large.length / partBytes) }, () => 'UploadPart'),
        'CompleteMultipartUpload',
      ],
    ],
  ])('arrives whole: %s', async (_, file, calls) => {
    expect(await upload(file)).toEqual(expected(file));
    expect((await store.content(name.key)).equals(file)).toBe(true);
    expect(store.calls).toEqual(calls);
  });

  test.each([
    ['small', small],
    ['large', large],
  ])('is never published when bytes were altered or are missing: %s', async (_, file) => {
    const flipped = Buffer.from(file);
    flipped[flipped.length - 100]! ^= 1;
    await expect(upload(flipped)).rejects.toMatchObject({ code: 'altered-snapshot', retryable: true });
    await nothingStays();
    await expect(upload(file.subarray(0, -32))).rejects.toMatchObject({ code: 'truncated-snapshot' });
    await expect(upload(file.subarray(0, -1))).rejects.toMatchObject({ code: 'truncated-snapshot' });
    await nothingStays();
  });

  test('never takes the place of another object', async () => {
    for (const file of [small, large]) {
      await store.seed(name.key, Buffer.from('precious'));
      await expect(upload(file)).rejects.toMatchObject({ code: 'PreconditionFailed' });
      expect((await store.content(name.key)).toString()).toBe('precious');
    }
    expect([...store.bucket.uploads.values()]).toEqual([]);
  });

  test.each([
    ['small', small, 'PutObject'],
    ['large', large, 'CompleteMultipartUpload'],
  ])('is recognized when the answer to the last call gets lost: %s', async (_, file, call) => {
    let lost = 0;
    store.intercept = (operation) => {
      if (operation !== call || lost > 0) return undefined;
      lost += 1;
      return 'drop';
    };
    expect(await upload(file)).toEqual(expected(file));
    expect(lost).toBe(1);
  });

  test('outlives faults of S3 that pass, and says what does not', async () => {
    let busy = 0;
    store.intercept = () => {
      busy += 1;
      return busy % 2 === 1
        ? { status: 503, body: '<Error><Code>SlowDown</Code><Message>Slow.</Message></Error>' }
        : undefined;
    };
    expect(await upload(large)).toEqual(expected(large));
    name = { ...name, key: `${name.key}-denied` };
    store.intercept = () => ({
      status: 403,
      body: '<Error><Code>AccessDenied</Code><Message>No.</Message></Error>',
    });
    await expect(upload(large)).rejects.toThrow('must be allowed to read and write below this prefix');
  });

  test('sends three parts at a time, and is whole in whatever order they arrive', async () => {
    const file = snapshotFile({ revisions: many, padToBytes: 40 * 1024 * 1024 });
    const held = new Map<number, () => void>();
    let most = 0;
    const uploadPart: S3Client['uploadPart'] = async (to, uploadId, number, body) => {
      const turn = new Promise<void>((resolve) => held.set(number, resolve));
      most = Math.max(most, held.size);
      // The last to come is the first to go, once nobody else can come.
      if (held.size === 3 || number === Math.ceil(file.length / partBytes)) {
        for (const [, release] of [...held].reverse()) release();
        held.clear();
      }
      await turn;
      return s3.uploadPart(to, uploadId, number, body);
    };
    const client = new Proxy(s3, {
      get: (target, key) => {
        if (key === 'uploadPart') return uploadPart;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    expect(await upload(file, undefined, client)).toEqual(expected(file));
    expect((await store.content(name.key)).equals(file)).toBe(true);
    expect(most).toBe(3);
  });

  test('leaves nothing behind when a part fails while others are on their way', async () => {
    let parts = 0;
    store.intercept = (operation) => {
      if (operation !== 'UploadPart') return undefined;
      parts += 1;
      return parts === 2
        ? { status: 403, body: '<Error><Code>AccessDenied</Code><Message>No.</Message></Error>' }
        : undefined;
    };
    await expect(upload(large)).rejects.toThrow('No.');
    await nothingStays();
  });

  test('an error in a 200 answer to the completion is an error', async () => {
    store.intercept = (operation) =>
      operation === 'CompleteMultipartUpload'
        ? { status: 200, body: '<?xml?><Error><Code>InternalError</Code><Message>Again.</Message></Error>' }
        : undefined;
    await expect(upload(large)).rejects.toMatchObject({ code: 'InternalError', retryable: true });
    await nothingStays();
  });
});

describe('asked for a snapshot', () => {
  const snapshots = (file: () => AsyncIterable<{ blob: Buffer; remainingBytes: number }>, change = {}) => {
    let saved: Parameters<SnapshotsOptions['save']>[0] = [];
    const options: SnapshotsOptions = {
      s3,
      openEtcd: () => ({ snapshot: file, close: () => undefined }) as never,
      saved: () => saved,
      save: async (next) => {
        saved = next;
      },
      now: () => new Date(contentAt),
      log: quiet,
      ...change,
    };
    return { first: new Snapshots(options), restarted: () => new Snapshots(options), saved: () => saved };
  };

  test('tells how far it is, and what came of it, by its key', async () => {
    const { first, restarted } = snapshots(() => pieces(large));
    expect(first.ask(name)).toEqual({ state: 'running', bytes: 0 });
    expect(() => first.ask({ ...name, key: 'another' })).toThrow('is uploading the snapshot');
    const done = await until('it is done', () => {
      const progress = first.ask(name);
      if (progress.state === 'running' && progress.bytes > 0) expect(progress.totalBytes).toBe(large.length);
      return progress.state === 'done' && progress;
    });
    expect(done).toEqual({ state: 'done', ...expected(large) });
    expect(await until('it is saved', () => restarted().ask(name))).toEqual(done);
  });

  test('tells a failure once, and tries again when asked again', async () => {
    let file = large.subarray(0, -32);
    const { first } = snapshots(() => pieces(file));
    first.ask(name);
    const failed = await until('it failed', () => {
      const progress = first.ask(name);
      return progress.state === 'failed' && progress;
    });
    expect(failed.problem).toContain('cut short');
    file = large;
    expect(first.ask(name)).toEqual({ state: 'running', bytes: 0 });
    await until('it is done', () => first.ask(name).state === 'done');
  });

  test('after a restart of the nanny in the middle it starts anew and leaves no parts behind', async () => {
    async function* stuck() {
      yield* pieces(large.subarray(0, 12 * 1024 * 1024));
      await new Promise(() => undefined);
    }
    const first = snapshots(stuck);
    first.first.ask(name);
    await until('an upload has begun', () => first.saved()[0]?.uploadId);
    expect(store.bucket.uploads.size).toBe(1);
    // Before anybody asks: perhaps nobody ever does.
    const unnoted = () => first.saved().map(({ uploadId, ...kept }) => kept);
    const second = snapshots(() => pieces(large), { saved: unnoted }).first;
    second.clearUp();
    await until('its parts are gone', () => store.bucket.uploads.size === 0);
    expect(second.ask(name).state).toBe('running');
    await until('it is done', () => second.ask(name).state === 'done');
    expect([...store.bucket.uploads.values()]).toEqual([]);
  });

  test('a full disk does not keep a survivor from giving its data', async () => {
    const save = async () => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    };
    const { first } = snapshots(() => pieces(large), { save });
    first.ask(name);
    await until('it is done', () => first.ask(name).state === 'done');
  });
});

test.each([
  [undefined, 'eu-central-1', 'b', 'https://b.s3.eu-central-1.amazonaws.com', ''],
  [undefined, 'cn-north-1', 'b', 'https://b.s3.cn-north-1.amazonaws.com.cn', ''],
  [undefined, 'us-east-1', 'with.dots', 'https://s3.us-east-1.amazonaws.com', '/with.dots'],
  ['http://127.0.0.1:4566', 'us-east-1', 'b', 'http://127.0.0.1:4566', '/b'],
  ['http://localhost:4566/', 'us-east-1', 'b', 'http://localhost:4566', '/b'],
  ['https://s3.example.org', 'us-east-1', 'b', 'https://b.s3.example.org', ''],
])('finds the bucket as the SDKs do: %s %s %s', (endpoint, region, bucket, origin, pathPrefix) => {
  expect(bucketAddress(bucket, region, endpoint)).toEqual({ origin, pathPrefix });
});
