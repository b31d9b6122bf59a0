import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { S3BackupObjects } from '../../lambdas/adapters/s3-backup-objects.ts';
import { backupPolicy } from '../../lib/policies/backup.ts';
import type { CellScope, StateScope } from '../../lib/policies/scope.ts';
import type { Authorization, Caller, CloudContext } from '../../local/aws/service.ts';
import { CredentialStore } from '../../local/iam/credentials.ts';
import { Iam } from '../../local/iam/iam.ts';
import { createModule as createS3 } from '../../local/services/s3/index.ts';
import { accountId, region, startEndpoint, user } from '../local/support/endpoint.ts';

/** The backup bucket in the local cloud's S3, and the backup function's rights to it. @param properties more of the bucket's */
export async function startBackupBucket(properties: Record<string, unknown> = {}) {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-objects-'));
  const iam = new Iam({ accountId, region });
  const credentials = new CredentialStore({ accountId });
  const keyArn = `arn:aws:kms:${region}:${accountId}:key/backups`;
  const s3 = await createS3({
    accountId,
    region,
    stateDir,
    authorize: (who: Caller, authorization: Authorization) => iam.require(who, authorization),
  } as unknown as CloudContext);
  const endpoint = await startEndpoint(s3.services, { iam, credentials });
  const rule = { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn } };
  const { ref: Bucket } = await s3.providers[0]!.provision({
    type: 'AWS::S3::Bucket',
    stack: 'Test',
    logicalId: 'Backups',
    properties: {
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: { ServerSideEncryptionConfiguration: [rule] },
      ...properties,
    },
  });
  const rights = backupPolicy(
    { tableArn: 'arn:table', keyArn } as StateScope,
    {
      taskDefinitionArns: ['a'],
      taskRoleArns: ['b'],
      queueArns: ['c'],
      taskArns: 'd',
    } as unknown as CellScope,
    { bucketArn: `arn:aws:s3:::${Bucket}`, cellId: 'cell-1' },
  ).filter(({ actions }) => actions.every((action) => action.startsWith('s3:')));
  await iam.provider().provision({
    type: 'AWS::IAM::Role',
    stack: 'Test',
    logicalId: 'Backup',
    properties: {
      RoleName: 'backup',
      AssumeRolePolicyDocument: { Statement: [] },
      Policies: [
        { PolicyName: 'p', PolicyDocument: { Statement: rights.map((one) => one.toStatementJson()) } },
      ],
    },
  });
  const settings = { endpoint: endpoint.url, region, maxAttempts: 1, forcePathStyle: true };
  const admin = new S3Client({ ...settings, credentials: user });
  const { expiration: _, ...key } = credentials.issue(
    `arn:aws:iam::${accountId}:role/backup`,
    'session',
    3_600,
  );
  const client = new S3Client({ ...settings, credentials: key });
  return {
    Bucket,
    endpoint,
    admin,
    /** With the rights of the backup function. */
    client,
    objects: new S3BackupObjects({ bucket: Bucket, client }),
    buckets: s3.buckets,
    put: async (...keys: string[]): Promise<void> => {
      for (const Key of keys) await admin.send(new PutObjectCommand({ Bucket, Key, Body: 'content' }));
    },
    stop: async (): Promise<void> => {
      admin.destroy();
      client.destroy();
      await endpoint.close();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
