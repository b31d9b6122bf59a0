import { CfnOutput, Duration, Fn, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { Config } from './config.ts';

export interface StateStackProps extends StackProps {
  readonly config: Config;
}

/** All that must survive: tenant records, backups, and the key that protects both. Nothing here changes with code. */
export class StateStack extends Stack {
  readonly table: dynamodb.Table;
  readonly backups: s3.Bucket;
  readonly key: kms.Key;

  constructor(scope: Construct, id: string, props: StateStackProps) {
    super(scope, id, { ...props, terminationProtection: !props.config.ephemeral });
    const keep = !props.config.ephemeral;
    const lockDays = props.config.backupObjectLockDays;
    const removalPolicy = keep ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;

    this.key = new kms.Key(this, 'Key', {
      description: 'etcd-nanny: CA keys of tenants and backups',
      enableKeyRotation: true,
      removalPolicy,
    });

    this.table = new dynamodb.Table(this, 'Table', {
      partitionKey: { name: 'PK', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'SK', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expiresAt',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: keep,
      removalPolicy,
    });
    this.table.addGlobalSecondaryIndex({
      indexName: 'due',
      partitionKey: { name: 'duePK', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'nextCheckAt', type: dynamodb.AttributeType.STRING },
      projectionType: dynamodb.ProjectionType.KEYS_ONLY,
    });
    this.table.addGlobalSecondaryIndex({
      indexName: 'names',
      partitionKey: { name: 'namesPK', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'tenantId', type: dynamodb.AttributeType.STRING },
      projectionType: dynamodb.ProjectionType.KEYS_ONLY,
    });

    this.backups = new s3.Bucket(this, 'Backups', {
      versioned: true,
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [
        { id: 'abort-stale-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // What retention has let go can be taken back for a week.
        {
          id: 'expire-former-versions',
          noncurrentVersionExpiration: Duration.days(7),
          expiredObjectDeleteMarker: true,
        },
      ],
      ...(lockDays === undefined
        ? {}
        : {
            objectLockEnabled: true,
            objectLockDefaultRetention: s3.ObjectLockRetention.governance(Duration.days(lockDays)),
          }),
      removalPolicy,
    });
    acknowledge(
      this.backups,
      'Every read of a backup needs a decrypt call of our own key, which CloudTrail records with the caller.',
      'AwsSolutions-S1',
    );

    new CfnOutput(this, 'TableName', { value: this.table.tableName });
    new CfnOutput(this, 'BackupBucketName', { value: this.backups.bucketName });
    new CfnOutput(this, 'BackupBucketArn', { value: this.backups.bucketArn });
    new CfnOutput(this, 'KeyArn', { value: this.key.keyArn });
  }

  /**
   * The bucket, for policies of other stacks. By an output with a name of its own: cdk-nag's finding ids contain it, and
   * one that CDK makes up cannot be known before the synth.
   */
  get backupBucketArn(): string {
    return Fn.getStackOutput(this.stackName, 'BackupBucketArn', this.region);
  }
}
