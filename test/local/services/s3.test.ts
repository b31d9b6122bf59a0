import { readdirSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createModule } from '../../../local/services/s3/index.ts';
import { startCloud, type TestCloud } from './cloud.ts';

const mebibyte = 1024 * 1024;

describe('S3', () => {
  let cloud: TestCloud;
  let s3: S3Client;
  let Bucket: string;
  const keyArn = 'arn:aws:kms:us-east-1:111122223333:key/backup';

  async function start(stateDir?: string): Promise<void> {
    cloud = await startCloud(createModule, { stateDir });
    s3 = new S3Client(cloud.client);
    const rule = { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn } };
    const bucket = await cloud.provision('AWS::S3::Bucket', 'Backups', {
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: { ServerSideEncryptionConfiguration: [rule] },
    });
    Bucket = bucket.ref;
  }
  beforeAll(() => start());
  afterAll(() => cloud.stop());

  const put = (Key: string, Body: string | Readable | Buffer, over = {}) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body, ...over }));
  const read = async (Key: string, over = {}) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...over }));
    return await Body!.transformToString();
  };
  const dataFiles = () => readdirSync(path.join(cloud.stateDir, 's3', Bucket, 'data')).length;

  it('gives back bytes, type and metadata of an object', async () => {
    const written = await put('plain', 'hello', { ContentType: 'text/plain', Metadata: { owner: 'acme' } });
    expect(written.ETag).toBe('"5d41402abc4b2a76b9719d911017c592"');
    expect(written.ChecksumCRC32).toBe('NhCmhg==');
    expect(written.VersionId).toBeDefined();
    expect(written.SSEKMSKeyId).toBe(keyArn);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'plain' }));
    expect(head).toMatchObject({ ContentLength: 5, ContentType: 'text/plain', Metadata: { owner: 'acme' } });
    expect(await read('plain')).toBe('hello');
  });

  it('takes a stream of unknown content without its framing or trailer', async () => {
    const pieces = Array.from({ length: 40 }, (_, n) => Buffer.alloc(50_000 + n, n));
    const whole = Buffer.concat(pieces);
    await put('streamed', Readable.from(pieces), { ContentLength: whole.length });
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'streamed' }));
    expect(Buffer.from(await Body!.transformToByteArray()).equals(whole)).toBe(true);
  });

  it('refuses bytes that do not match their checksum, and keeps nothing of them', async () => {
    const before = dataFiles();
    await expect(put('flipped', 'hello', { ChecksumCRC32: 'AAAAAA==' })).rejects.toThrow('CRC32');
    const md5 = Buffer.from('0'.repeat(32), 'hex').toString('base64');
    await expect(put('flipped', 'hello', { ContentMD5: md5 })).rejects.toThrow('Content-MD5');
    await expect(read('flipped')).rejects.toBeInstanceOf(NoSuchKey);
    expect(dataFiles()).toBe(before);
  });

  it('refuses a stream that was cut or altered on its way', async () => {
    const send = (body: string, headers: Record<string, string>) =>
      fetch(`${cloud.url}/${Bucket}/cut`, {
        method: 'PUT',
        body,
        headers: { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', ...headers },
      });
    const trailer = { 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const good = await send('5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n', trailer);
    expect(good.status).toBe(200);
    const altered = await send('5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n', trailer);
    expect([altered.status, await altered.text()]).toEqual([400, expect.stringContaining('BadDigest')]);
    const cut = await send('5\r\nhel', trailer);
    expect([cut.status, await cut.text()]).toEqual([400, expect.stringContaining('IncompleteBody')]);
    const short = await send('5\r\nhello\r\n0\r\n\r\n', { 'x-amz-decoded-content-length': '6' });
    expect([short.status, await short.text()]).toEqual([400, expect.stringContaining('IncompleteBody')]);
    const sha = await send('hello', { 'x-amz-content-sha256': '0'.repeat(64) });
    expect(await sha.text()).toContain('XAmzContentSHA256Mismatch');
    expect(await read('cut')).toBe('hello');
  });

  it('creates once for many writers at once (If-None-Match: *)', async () => {
    const writes = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((body) => put('once', body, { IfNoneMatch: '*' })),
    );
    expect(writes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const write of writes) {
      if (write.status === 'rejected') expect(write.reason).toMatchObject({ name: 'PreconditionFailed' });
    }
  });

  it('overwrites only the expected version (If-Match)', async () => {
    const { ETag } = await put('match', 'one');
    await put('match', 'two', { IfMatch: ETag });
    await expect(put('match', 'three', { IfMatch: ETag })).rejects.toMatchObject({
      name: 'PreconditionFailed',
    });
    await expect(put('none', 'x', { IfMatch: ETag })).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await read('match')).toBe('two');
  });

  it.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=8-99', '89', 'bytes 8-9/10'],
  ])('reads the range %s', async (Range, expected, ContentRange) => {
    await put('digits', '0123456789');
    const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'digits', Range }));
    expect(part.ContentRange).toBe(ContentRange);
    expect(await part.Body!.transformToString()).toBe(expected);
    await expect(read('digits', { Range: 'bytes=10-' })).rejects.toMatchObject({ name: 'InvalidRange' });
  });

  it('lists by prefix and delimiter, page by page, whatever characters a key has', async () => {
    const keys = ['l/a/1', 'l/a/2', 'l/b/1', 'l/ü & <x>', 'l/z+%20 y', 'm'];
    for (const key of keys) await put(key, key);
    const seen: string[] = [];
    const groups: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await s3.send(
        new ListObjectsV2Command({ Bucket, Prefix: 'l/', Delimiter: '/', MaxKeys: 1, ContinuationToken }),
      );
      seen.push(...(page.Contents ?? []).map(({ Key }) => Key!));
      groups.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix!));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(groups).toEqual(['l/a/', 'l/b/']);
    expect(seen).toEqual(['l/z+%20 y', 'l/ü & <x>']);
    const plain = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'l/a', EncodingType: 'url' }));
    expect(plain.Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([
      ['l/a/1', 5],
      ['l/a/2', 5],
    ]);
    expect(await read('l/ü & <x>')).toBe('l/ü & <x>');
  });

  it('deletes one, deletes many, and says whose rights were missing', async () => {
    for (const Key of ['d/1', 'd/2', 'd/keep', 'd/<4>']) await put(Key, 'x');
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'd/1' }));
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'd/1' }));
    cloud.denied = ({ action, resource }) => action === 's3:DeleteObject' && resource.endsWith('keep');
    const Objects = ['d/2', 'd/keep', 'd/<4>', 'd/unknown'].map((Key) => ({ Key }));
    const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    cloud.denied = () => false;
    expect(answer.Deleted?.map(({ Key }) => Key)).toEqual(['d/2', 'd/<4>', 'd/unknown']);
    expect(answer.Errors).toMatchObject([{ Key: 'd/keep', Code: 'AccessDenied' }]);
    const left = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'd/' }));
    expect(left.Contents?.map(({ Key }) => Key)).toEqual(['d/keep']);
  });

  it('puts an object together from parts, and only then shows it', async () => {
    const Key = 'parts';
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const bodies = [Buffer.alloc(5 * mebibyte, 1), Buffer.alloc(5 * mebibyte, 2), Buffer.from('end')];
    const Parts = [];
    for (const [index, Body] of bodies.entries()) {
      const PartNumber = index + 1;
      const part = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 });
    }
    await expect(read(Key)).rejects.toBeInstanceOf(NoSuchKey);
    const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(uploads.Uploads?.map(({ UploadId: id }) => id)).toEqual([UploadId]);
    const listed = await s3.send(new ListPartsCommand({ Bucket, Key, UploadId, MaxParts: 2 }));
    expect(listed.Parts?.map(({ Size }) => Size)).toEqual([5 * mebibyte, 5 * mebibyte]);
    expect(listed.IsTruncated).toBe(true);

    const complete = (MultipartUpload: object, over = {}) =>
      s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload, ...over }));
    const wrong = [{ ...Parts[0], ETag: '"00"' }, ...Parts.slice(1)];
    await expect(complete({ Parts: wrong })).rejects.toMatchObject({ name: 'InvalidPart' });
    const reversed = [...Parts].reverse();
    await expect(complete({ Parts: reversed })).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    const done = await complete({ Parts }, { IfNoneMatch: '*' });
    expect(done.ETag).toMatch(/-3"$/);
    const around = { Range: `bytes=${10 * mebibyte - 2}-` };
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...around }));
    expect(Buffer.from(await Body!.transformToByteArray())).toEqual(Buffer.from('\x02\x02end'));
    expect((await s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength).toBe(10 * mebibyte + 3);
    await expect(complete({ Parts })).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('leaves nothing of an aborted upload, and never overwrites by a completed one', async () => {
    const Key = 'taken';
    await put(Key, 'first');
    const before = dataFiles();
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const part = await s3.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'second' }),
    );
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: part.ETag }] };
    const complete = new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      MultipartUpload,
      IfNoneMatch: '*',
    });
    await expect(s3.send(complete)).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    expect(dataFiles()).toBe(before);
    expect(await read(Key)).toBe('first');
    const Body = 'late';
    const late = s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body }));
    await expect(late).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('keeps objects and half-done uploads over a restart, and removes data that nobody names', async () => {
    await put('lasting', 'still here');
    const Key = 'half';
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const part = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'half' }));
    const before = dataFiles();
    const { writeFileSync } = await import('node:fs');
    writeFileSync(path.join(cloud.stateDir, 's3', Bucket, 'data', 'orphan'), 'half an upload');
    await cloud.stop({ keepState: true });
    await start(cloud.stateDir);
    expect(dataFiles()).toBe(before);
    expect(await read('lasting')).toBe('still here');
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: part.ETag }] };
    await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
    expect(await read(Key)).toBe('half');
  });

  it('asks IAM for the object, and for the key of the bucket', async () => {
    cloud.asked.length = 0;
    await put('a/b', 'x');
    expect(cloud.asked).toMatchObject([
      { action: 's3:PutObject', resource: `arn:aws:s3:::${Bucket}/a/b` },
      { action: 'kms:GenerateDataKey', resource: keyArn },
    ]);
    cloud.asked.length = 0;
    await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'a/' }));
    expect(cloud.asked).toEqual([
      { action: 's3:ListBucket', resource: `arn:aws:s3:::${Bucket}`, context: { 's3:prefix': 'a/' } },
    ]);
  });

  it('does not tell who may not list that a key is missing', async () => {
    cloud.denied = ({ action }) => action === 's3:ListBucket';
    await expect(read('missing')).rejects.toMatchObject({ name: 'AccessDenied' });
    cloud.denied = () => false;
    await expect(read('missing')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  it('refuses what it does not do, instead of doing something else', async () => {
    for (const flag of ['acl', 'tagging', 'versions', 'policy']) {
      const answer = await fetch(`${cloud.url}/${Bucket}/key?${flag}`);
      expect([answer.status, await answer.text()]).toEqual([501, expect.stringContaining('NotImplemented')]);
    }
    const unknown = s3.send(new PutObjectCommand({ Bucket: 'none', Key: 'x', Body: 'x' }));
    await expect(unknown).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });

  it('streams 128 MiB up and down without holding it in memory', async () => {
    const size = 128 * mebibyte;
    const piece = Buffer.alloc(mebibyte, 7);
    let peak = 0;
    const before = process.memoryUsage().rss;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss - before);
    }, 5);
    async function* source() {
      for (let n = 0; n < size / mebibyte; n++) yield piece;
    }
    await put('big', Readable.from(source()), { ContentLength: size });
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'big' }));
    let received = 0;
    for await (const one of Body as Readable) received += one.length;
    clearInterval(watch);
    expect(received).toBe(size);
    // Client and server share this process; half of the object would mean that one of them collects it.
    expect(peak).toBeLessThan(size / 2);
  });
});
