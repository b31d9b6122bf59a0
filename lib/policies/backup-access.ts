import * as iam from 'aws-cdk-lib/aws-iam';

export interface BackupScope {
  readonly cellId: string;
  readonly bucketArn: string;
  /** Key that the bucket is sealed with. */
  readonly keyArn: string;
}

const allow = (
  sid: string,
  actions: string[],
  resources: string[],
  conditions?: iam.PolicyStatementProps['conditions'],
) => new iam.PolicyStatement({ sid, actions, resources, ...(conditions ? { conditions } : {}) });

/**
 * All that nannies of a cell may do to backups; each of them gets a session of it that is narrowed to its own tenant
 * (docs/decisions/0073). Nobody who has it may delete.
 */
export const backupAccessPolicy = ({ cellId, bucketArn, keyArn }: BackupScope): iam.PolicyStatement[] => [
  allow('Backups', ['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'], [`${bucketArn}/${cellId}/*`]),
  allow('ListBackups', ['s3:ListBucket', 's3:ListBucketMultipartUploads'], [bucketArn], {
    StringLike: { 's3:prefix': `${cellId}/*` },
  }),
  // With a bucket key S3 asks once for many objects, with the bucket as the context; nothing else can be opened by it.
  allow('BackupKey', ['kms:Decrypt', 'kms:GenerateDataKey'], [keyArn], {
    StringEquals: { 'kms:EncryptionContext:aws:s3:arn': bucketArn },
  }),
];
