import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CloudContext } from '../../../local/aws/service.ts';
import { flipBackup, loseBackup } from '../../../local/chaos/backups.ts';
import { createModule, type S3Module } from '../../../local/services/s3/index.ts';
import { startEndpoint, type TestEndpoint, user } from '../support/endpoint.ts';

const day = 86_400_000;
let stateDir: string;
let module: S3Module;
let endpoint: TestEndpoint;
let s3: S3Client;
let Bucket: string;

async function start(lockDays?: number): Promise<void> {
  const context = { accountId: '111122223333', region: 'us-east-1', stateDir, authorize: () => {} };
  module = createModule(context as unknown as CloudContext);
  endpoint = await startEndpoint(module.services);
  const bucket = await module.providers[0]!.provision({
    type: 'AWS::S3::Bucket',
    stack: 'Test',
    logicalId: 'Backups',
    properties: {
      VersioningConfiguration: { Status: 'Enabled' },
      LifecycleConfiguration: {
        Rules: [
          { Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
          { Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 7 } },
        ],
      },
      ...(lockDays && {
        ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: lockDays } } },
      }),
    },
  });
  Bucket = bucket.ref;
  const settings = { endpoint: endpoint.url, region: 'us-east-1', maxAttempts: 1 };
  s3 = new S3Client({ ...settings, credentials: user });
}
async function stop(): Promise<void> {
  s3.destroy();
  await endpoint.close();
}
beforeEach(() => {
  stateDir = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-s3-'));
});
afterEach(async () => {
  await stop();
  rmSync(stateDir, { recursive: true });
});

const put = (Key: string, Body: string) => s3.send(new PutObjectCommand({ Bucket, Key, Body }));
const read = async (Key: string, VersionId?: string) => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }));
  return await Body!.transformToString();
};
const remove = (Key: string, more = {}) => s3.send(new DeleteObjectCommand({ Bucket, Key, ...more }));
const keys = async () =>
  ((await s3.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).map(({ Key }) => Key);
const versions = async () => {
  const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  return { versions: Versions.length, markers: DeleteMarkers.length };
};

describe('a bucket with versions', () => {
  beforeEach(() => start());

  it('hides what is deleted behind a marker, over a restart too, and shows it again without', async () => {
    const first = await put('a', 'one');
    await put('a', 'two');
    const gone = await remove('a');
    expect(gone.DeleteMarker).toBe(true);
    await stop();
    await start();
    await expect(read('a')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await keys()).toEqual([]);
    expect(await versions()).toEqual({ versions: 2, markers: 1 });
    expect(await read('a', first.VersionId)).toBe('one');
    await remove('a', { VersionId: gone.VersionId });
    expect(await read('a')).toBe('two');
    expect(await versions()).toEqual({ versions: 2, markers: 0 });
    await stop();
    await start();
    expect(await read('a')).toBe('two');
  });

  it('may be written once more after a delete, on condition too', async () => {
    await put('a', 'one');
    const { Deleted } = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }] } }),
    );
    expect(Deleted).toMatchObject([{ Key: 'a', DeleteMarker: true }]);
    await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'two', IfNoneMatch: '*' }));
    expect(await read('a')).toBe('two');
  });

  it('drops former versions after a week, their markers then, and half uploads after a day', async () => {
    await put('a', 'one');
    await put('a', 'two');
    await remove('a');
    await put('b', 'stays');
    await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'half' }));
    const bucket = module.buckets.get(Bucket)!;
    const uploads = async () =>
      (await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.length ?? 0;
    bucket.expire(Date.now() + 0.9 * day);
    expect([await versions(), await uploads()]).toEqual([{ versions: 3, markers: 1 }, 1]);
    bucket.expire(Date.now() + 1.1 * day);
    expect(await uploads()).toBe(0);
    bucket.expire(Date.now() + 7.1 * day);
    expect(await versions()).toEqual({ versions: 1, markers: 0 });
    expect(await read('b')).toBe('stays');
  });
});

describe('a bucket with Object Lock', () => {
  beforeEach(() => start(30));

  it('lets a delete hide an object, and takes no version away before its time without the bypass', async () => {
    const { VersionId } = await put('a', 'one');
    await remove('a');
    const refused = { name: 'AccessDenied', message: expect.stringContaining('object lock') };
    await expect(remove('a', { VersionId })).rejects.toMatchObject(refused);
    module.buckets.get(Bucket)!.expire(Date.now() + 29 * day);
    expect(await read('a', VersionId)).toBe('one');
    await remove('a', { VersionId, BypassGovernanceRetention: true });
    await expect(read('a', VersionId)).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  it('drops a version when both its retention and the lifecycle rule have passed', async () => {
    const { VersionId } = await put('a', 'one');
    await remove('a');
    module.buckets.get(Bucket)!.expire(Date.now() + 31 * day);
    await expect(read('a', VersionId)).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });
});

describe('chaos', () => {
  beforeEach(() => start());

  it('flips one bit of the newest object that is meant; only its checksum tells', async () => {
    await put('c1/acme/1/full/a.snap', 'xxxxxxxx');
    await put('c1/acme/1/full/b.snap', 'yyyyyyyy');
    expect(flipBackup(module.buckets, 'acme/1/full/a')).toBe('c1/acme/1/full/a.snap');
    await expect(read('c1/acme/1/full/a.snap')).rejects.toThrow('Checksum mismatch');
    const Range = 'bytes=0-7';
    const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'c1/acme/1/full/a.snap', Range }));
    expect(await part.Body!.transformToString()).toBe('xxxxyxxx');
    expect(await read('c1/acme/1/full/b.snap')).toBe('yyyyyyyy');
    expect(() => flipBackup(module.buckets, 'nobody')).toThrow(/b\.snap/);
  });

  it('loses an object with all its versions', async () => {
    await put('a', 'one');
    await put('a', 'two');
    loseBackup(module.buckets, 'a');
    await expect(read('a')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await versions()).toEqual({ versions: 0, markers: 0 });
  });

  it('breaks an upload in mid-body and leaves nothing of it', async () => {
    endpoint.faults.add({
      match: { service: 's3', operation: 'PutObject', resource: '/acme/' },
      action: { type: 'cut', afterBytes: 100 },
      times: 1,
    });
    await put('other/x', 'z'.repeat(100_000));
    await expect(put('acme/x', 'z'.repeat(100_000))).rejects.toThrow();
    await expect(read('acme/x')).rejects.toMatchObject({ name: 'NoSuchKey' });
    await put('acme/x', 'whole');
    expect(await read('acme/x')).toBe('whole');
  });

  it('breaks a download in the middle, after it has promised the whole length', async () => {
    await put('acme/x', 'z'.repeat(100_000));
    endpoint.faults.add({
      match: { service: 's3', operation: 'GetObject' },
      action: { type: 'cut', afterBytes: 5_000 },
      times: 1,
    });
    const { Body, ContentLength } = await s3.send(new GetObjectCommand({ Bucket, Key: 'acme/x' }));
    expect(ContentLength).toBe(100_000);
    await expect(Body!.transformToString()).rejects.toThrow();
    expect(await read('acme/x')).toHaveLength(100_000);
  });

  it('answers SlowDown, and AccessDenied, for one tenant only', async () => {
    endpoint.faults.add({ match: { resource: '/acme/' }, action: { type: 'throttle' }, times: 1 });
    endpoint.faults.add({ match: { resource: '/other/' }, action: { type: 'deny' }, times: 1 });
    await expect(put('acme/x', 'a')).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await expect(put('other/x', 'a')).rejects.toMatchObject({ name: 'AccessDenied' });
    await put('acme/x', 'a');
    await put('other/x', 'a');
  });
});
