import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StsStorageAccess } from '../../lambdas/adapters/sts-storage-access.ts';
import type { Cell } from '../../lambdas/core/ports.ts';
import type { Authorization, Caller, CloudContext } from '../../local/aws/service.ts';
import { CredentialStore } from '../../local/iam/credentials.ts';
import { Iam } from '../../local/iam/iam.ts';
import { createModule as createS3 } from '../../local/services/s3/index.ts';
import { createSts } from '../../local/services/sts/index.ts';
import { accountId, region, startEndpoint, type TestEndpoint, user } from '../local/support/endpoint.ts';
import { testCell } from './cell.ts';

const arn = (role: string) => `arn:aws:iam::${accountId}:role/${role}`;
const keyArn = `arn:aws:kms:${region}:${accountId}:key/backups`;

/** The adapter against STS, S3 and IAM of the local cloud, all behind the real endpoint. */
describe('sessions of the role BackupAccess', () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-sts-'));
  const iam = new Iam({ accountId, region });
  const credentials = new CredentialStore({ accountId });
  const clients: { destroy(): void }[] = [];
  let endpoint: TestEndpoint;
  let cell: Cell;
  let Bucket: string;
  let access: StsStorageAccess;

  const settings = () => ({ endpoint: endpoint.url, region, maxAttempts: 1 });
  const keep = <C extends { destroy(): void }>(client: C): C => {
    clients.push(client);
    return client;
  };
  const as = (role: string) => {
    const { expiration: _, ...key } = credentials.issue(arn(role), 'session', 3_600);
    return keep(new STSClient({ ...settings(), credentials: key }));
  };

  beforeAll(async () => {
    const context = {
      accountId,
      region,
      stateDir,
      authorize: (who: Caller, authorization: Authorization) => iam.require(who, authorization),
    } as unknown as CloudContext;
    const s3 = await createS3(context);
    const sts = createSts(context, { iam, credentials });
    endpoint = await startEndpoint([...s3.services, ...sts.services], { iam, credentials });
    const rule = { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn } };
    const bucket = await s3.providers[0]!.provision({
      type: 'AWS::S3::Bucket',
      stack: 'Test',
      logicalId: 'Backups',
      properties: { BucketEncryption: { ServerSideEncryptionConfiguration: [rule] } },
    });
    Bucket = bucket.ref;
    cell = testCell({ backupBucket: Bucket, backupRoleArn: arn('backup-access') });
    const role = (RoleName: string, trusted: object, Statement: object[]) =>
      iam.provider().provision({
        type: 'AWS::IAM::Role',
        stack: 'Test',
        logicalId: RoleName,
        properties: {
          RoleName,
          AssumeRolePolicyDocument: {
            Statement: [{ Effect: 'Allow', Principal: trusted, Action: 'sts:AssumeRole' }],
          },
          Policies: [{ PolicyName: 'p', PolicyDocument: { Statement } }],
        },
      });
    const may = { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' };
    await role('join', { Service: 'lambda.amazonaws.com' }, [may]);
    await role('other', { Service: 'lambda.amazonaws.com' }, [may]);
    // More than lib/policies gives: what keeps tenants apart here is the session's policy alone.
    await role('backup-access', { AWS: arn('join') }, [
      { Effect: 'Allow', Action: ['s3:*', 'kms:*'], Resource: '*' },
    ]);
    access = new StsStorageAccess({ keyArn, client: as('join') });
  });
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await endpoint.close();
    rmSync(stateDir, { recursive: true });
  });

  async function tenant(tenantId: string, alsoReads: string[] = []): Promise<S3Client> {
    const lent = await access.lend({ cell, tenantId, borrower: 'maaaaaaaa', alsoReads });
    const { expiration: _, ...key } = lent;
    return keep(new S3Client({ ...settings(), credentials: key }));
  }
  const put = (s3: S3Client, Key: string, Body = 'x') =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body, IfNoneMatch: '*' }));
  const get = (s3: S3Client, Key: string) => s3.send(new GetObjectCommand({ Bucket, Key }));
  const list = (s3: S3Client, Prefix?: string) => s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  const denied = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };

  it('write, read and list what is their own tenant’s, in pieces too', async () => {
    const s3 = await tenant('acme');
    await put(s3, 'cell-1/acme/1/full/a.snap', 'hello');
    const { Body } = await get(s3, 'cell-1/acme/1/full/a.snap');
    expect(await Body!.transformToString()).toBe('hello');
    const listed = await list(s3, 'cell-1/acme/1/full/');
    expect(listed.Contents?.map(({ Key }) => Key)).toEqual(['cell-1/acme/1/full/a.snap']);
    const Key = 'cell-1/acme/1/full/b.snap';
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'x' }));
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    await expect(get(s3, Key)).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  it('reach nothing of another tenant, not even one whose name begins alike', async () => {
    for (const other of ['other', 'acm', 'acme2', 'acme-2']) {
      const theirs = `cell-1/${other}/1/full/secret.snap`;
      await put(await tenant(other), theirs);
      const s3 = await tenant('acme');
      await expect(get(s3, theirs)).rejects.toMatchObject(denied);
      await expect(s3.send(new HeadObjectCommand({ Bucket, Key: theirs }))).rejects.toMatchObject({
        $metadata: { httpStatusCode: 403 },
      });
      await expect(put(s3, `cell-1/${other}/1/full/forged.snap`)).rejects.toMatchObject(denied);
      await expect(list(s3, `cell-1/${other}/`)).rejects.toMatchObject(denied);
      const start = new CreateMultipartUploadCommand({ Bucket, Key: `cell-1/${other}/1/full/forged.snap` });
      await expect(s3.send(start)).rejects.toMatchObject(denied);
    }
  });

  it('list no more than their own, however they ask', async () => {
    const s3 = await tenant('acme');
    for (const prefix of [undefined, '', 'cell-1/', 'cell-1/acme', 'cell-2/acme/'])
      await expect(list(s3, prefix)).rejects.toMatchObject(denied);
    await expect(list(s3, 'cell-1/other/')).rejects.toThrow(
      /assumed-role\/backup-access\/acme\.maaaaaaaa is not authorized to perform: s3:ListBucket .* no session policy allows/,
    );
  });

  it('delete nothing, not even their own', async () => {
    const s3 = await tenant('acme');
    const Key = 'cell-1/acme/1/full/kept.snap';
    await put(s3, Key);
    await expect(s3.send(new DeleteObjectCommand({ Bucket, Key }))).rejects.toMatchObject(denied);
    const many = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key }] } }));
    expect(many).toMatchObject({ Errors: [{ Key, Code: 'AccessDenied' }] });
    await get(s3, Key);
  });

  it('read the source of a clone and write nothing to it', async () => {
    await put(await tenant('origin'), 'cell-1/origin/2/full/a.snap', 'origin');
    const s3 = await tenant('acme', ['cell-1/origin/2/']);
    const { Body } = await get(s3, 'cell-1/origin/2/full/a.snap');
    expect(await Body!.transformToString()).toBe('origin');
    expect((await list(s3, 'cell-1/origin/2/delta/')).KeyCount).toBe(0);
    await expect(put(s3, 'cell-1/origin/2/full/b.snap')).rejects.toMatchObject(denied);
    await expect(get(s3, 'cell-1/origin/1/full/a.snap')).rejects.toMatchObject(denied);
    await put(s3, 'cell-1/acme/2/full/clone.snap');
  });

  it('say when they end, and end then', async () => {
    const lent = await access.lend({ cell, tenantId: 'acme', borrower: 'maaaaaaaa', alsoReads: [] });
    expect(Date.parse(lent.expiration) - Date.now()).toBeGreaterThan(3_590_000);
    const s3 = await tenant('acme');
    endpoint.skew = 3_601_000;
    await expect(list(s3, 'cell-1/acme/')).rejects.toMatchObject({
      name: expect.stringContaining('Expired'),
    });
    endpoint.skew = 0;
  });

  it('are given to the one role that BackupAccess trusts, and for an hour at most', async () => {
    const ask = (client: STSClient, over = {}) =>
      client.send(new AssumeRoleCommand({ RoleArn: cell.backupRoleArn, RoleSessionName: 'x-y', ...over }));
    await expect(ask(as('other'))).rejects.toMatchObject({ name: 'AccessDenied' });
    const admin = keep(new STSClient({ ...settings(), credentials: user }));
    await expect(ask(admin)).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(ask(as('join'), { DurationSeconds: 7_200 })).rejects.toThrow('1 hour session limit');
    await expect(ask(as('join'), { Policy: '{"Statement":{"Effect":"Maybe"}}' })).rejects.toMatchObject({
      name: 'MalformedPolicyDocumentException',
    });
    const gone = { RoleArn: arn('gone') };
    await expect(ask(as('join'), gone)).rejects.toMatchObject({ name: 'AccessDenied' });
    const who = await as('join').send(new GetCallerIdentityCommand({}));
    expect(who.Arn).toBe(`arn:aws:sts::${accountId}:assumed-role/join/session`);
  });
});
