import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { ControlPlaneError } from '../core/errors.ts';
import { tenantPrefix } from '../core/model/backup.ts';
import type { StorageAccess, StorageGrant } from '../core/ports.ts';
import type { StorageAnswer } from '../core/wire/work.ts';
import { callAws, clientDefaults } from './aws-errors.ts';

/** The most that STS gives to a caller that is an assumed role itself (role chaining). */
const seconds = 3_600;

/**
 * Sessions of the cell's role BackupAccess whose policy leaves one tenant of it: IAM keeps tenants apart.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | lend | sts:AssumeRole | the cell's role BackupAccess |
 */
export class StsStorageAccess implements StorageAccess {
  readonly #client: STSClient;
  readonly #keyArn: string;

  /** @param options.keyArn key that the bucket is sealed with */
  constructor(options: { keyArn: string; client?: STSClient }) {
    this.#client = options.client ?? new STSClient(clientDefaults);
    this.#keyArn = options.keyArn;
  }

  async lend(request: StorageGrant): Promise<StorageAnswer> {
    const command = new AssumeRoleCommand({
      RoleArn: request.cell.backupRoleArn,
      RoleSessionName: `${request.tenantId}.${request.borrower}`,
      DurationSeconds: seconds,
      Policy: JSON.stringify(sessionPolicy(request, this.#keyArn)),
    });
    const { Credentials: lent } = await callAws('sts:AssumeRole', () => this.#client.send(command));
    if (!lent?.AccessKeyId || !lent.SecretAccessKey || !lent.SessionToken || !lent.Expiration) {
      throw new ControlPlaneError('aws-refused', 'sts:AssumeRole answered without credentials.');
    }
    return {
      accessKeyId: lent.AccessKeyId,
      secretAccessKey: lent.SecretAccessKey,
      sessionToken: lent.SessionToken,
      expiration: lent.Expiration.toISOString(),
    };
  }
}

/** Never delete: who takes over a nanny destroys no backup. At most 2,048 characters, says STS. */
function sessionPolicy({ cell, tenantId, alsoReads }: StorageGrant, keyArn: string) {
  const partition = cell.backupRoleArn.split(':')[1];
  const bucket = `arn:${partition}:s3:::${cell.backupBucket}`;
  const own = tenantPrefix(cell.id, tenantId);
  const allow = (Action: string[], Resource: string[], Condition?: object) => ({
    Effect: 'Allow',
    Action,
    Resource,
    ...(Condition && { Condition }),
  });
  return {
    Version: '2012-10-17',
    Statement: [
      allow(['s3:PutObject', 's3:AbortMultipartUpload'], [`${bucket}/${own}*`]),
      allow(
        ['s3:GetObject'],
        [own, ...alsoReads].map((prefix) => `${bucket}/${prefix}*`),
      ),
      // Uploads too: a nanny takes back what one that was killed has left behind.
      allow(['s3:ListBucket', 's3:ListBucketMultipartUploads'], [bucket], {
        StringLike: { 's3:prefix': [own, ...alsoReads].map((prefix) => `${prefix}*`) },
      }),
      allow(['kms:Decrypt', 'kms:GenerateDataKey'], [keyArn], {
        StringEquals: { 'kms:EncryptionContext:aws:s3:arn': bucket },
      }),
    ],
  };
}
