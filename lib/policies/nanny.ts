import * as iam from 'aws-cdk-lib/aws-iam';

export interface NannyScope {
  readonly joinRouteArns: readonly string[];
  readonly cellId: string;
  readonly backupBucketArn: string;
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
 * What a nanny may do besides serving etcd. Snapshots are bound to the cell's prefix; one role serves all tenants of a
 * cell, and ECS puts no session tags on task roles, so the tenant cannot be a condition here (docs/decisions/0035).
 * It may not list the bucket, nor delete from it: who takes over a nanny can neither find nor destroy a backup.
 */
export const nannyPolicy = (scope: NannyScope): iam.PolicyStatement[] => [
  allow('CallJoin', ['execute-api:Invoke'], [...scope.joinRouteArns]),
  allow(
    'Snapshots',
    ['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'],
    [`${scope.backupBucketArn}/${scope.cellId}/*`],
  ),
  // With a bucket key S3 asks once for many objects, with the bucket as the context; nothing else can be opened by it.
  allow('SnapshotKey', ['kms:Decrypt', 'kms:GenerateDataKey'], [scope.keyArn], {
    StringEquals: { 'kms:EncryptionContext:aws:s3:arn': scope.backupBucketArn },
  }),
];
