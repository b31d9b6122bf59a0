import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CloudContext } from '../../../local/aws/service.ts';
import { createModule } from '../../../local/services/s3/index.ts';
import { startEndpoint, type TestEndpoint, user } from '../support/endpoint.ts';

/** S3 behind the real endpoint: what the clients sign is what the endpoint verifies, streams included. */
describe('S3 behind the endpoint', () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-s3-'));
  let endpoint: TestEndpoint;
  let s3: S3Client;
  let Bucket: string;
  beforeAll(async () => {
    const context = { accountId: '111122223333', region: 'us-east-1', stateDir, authorize: () => {} };
    const module = createModule(context as unknown as CloudContext);
    endpoint = await startEndpoint(module.services);
    const provider = module.providers.find(({ types }) => types.includes('AWS::S3::Bucket'))!;
    const resource = { type: 'AWS::S3::Bucket', stack: 'Test', logicalId: 'Backups', properties: {} };
    Bucket = (await provider.provision(resource)).ref;
    const settings = { endpoint: endpoint.url, region: 'us-east-1', maxAttempts: 1 };
    s3 = new S3Client({ ...settings, credentials: user });
  });
  afterAll(async () => {
    s3.destroy();
    await endpoint.close();
    rmSync(stateDir, { recursive: true });
  });

  it.each(['plain', 'cell/acme/1/full/42-01ARYZ6S41.snap', 'ü & <x> +%20/y', 'a//b/../c'])(
    'takes and gives back %j',
    async (Key) => {
      const pieces = Array.from({ length: 30 }, (_, n) => Buffer.alloc(40_000, n));
      const Body = Readable.from(pieces);
      await s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: 1_200_000 }));
      const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
      expect(Buffer.from(await got.Body!.transformToByteArray())).toEqual(Buffer.concat(pieces));
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(head.ContentLength).toBe(1_200_000);
      const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: Key }));
      expect(listed.Contents?.map((one) => one.Key)).toEqual([Key]);
    },
  );

  it('creates once over signed requests too', async () => {
    const put = (Body: string) =>
      s3.send(new PutObjectCommand({ Bucket, Key: 'once', Body, IfNoneMatch: '*' }));
    await put('first');
    await expect(put('second')).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  it('refuses a wrong secret in the words of S3', async () => {
    const credentials = { ...user, secretAccessKey: 'wrong' };
    const wrong = new S3Client({ endpoint: endpoint.url, region: 'us-east-1', maxAttempts: 1, credentials });
    const read = wrong.send(new GetObjectCommand({ Bucket, Key: 'once' }));
    await expect(read).rejects.toMatchObject({ name: expect.stringMatching(/Signature/) });
    wrong.destroy();
  });
});
