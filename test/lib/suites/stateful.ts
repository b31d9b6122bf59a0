import { beforeAll, describe, expect, it } from 'vitest';
import {
  flat,
  type Json,
  lastingContext,
  localContext,
  type Resource,
  type Synthesized,
  synthesize,
} from '../synth.ts';

let lasting: Synthesized;
let ephemeral: Synthesized;
beforeAll(async () => {
  lasting = await synthesize(lastingContext);
  ephemeral = await synthesize(localContext);
});

const one = (app: Synthesized, type: string): Resource => {
  // The key of pages on their way protects nothing that lasts.
  const found = app.of(type).filter(({ logicalId }) => !logicalId.startsWith('PagesKey'));
  expect(found).toHaveLength(1);
  return found[0] as Resource;
};
const stateful = ['AWS::DynamoDB::Table', 'AWS::S3::Bucket', 'AWS::KMS::Key'];

describe('what must survive', () => {
  /** A changed logical id makes CloudFormation create an empty resource and orphan (or delete) the full one. */
  it('keeps its logical ids', () => {
    const ids = [
      ...stateful,
      'AWS::ECS::Cluster',
      'AWS::ServiceDiscovery::PrivateDnsNamespace',
      'AWS::EC2::VPC',
    ].map((type) => [type, one(lasting, type).logicalId]);
    expect(Object.fromEntries(ids)).toEqual({
      'AWS::DynamoDB::Table': 'TableCD117FA1',
      'AWS::S3::Bucket': 'Backups9A29A52D',
      'AWS::KMS::Key': 'Key961B73FD',
      'AWS::ECS::Cluster': 'ClusterEB0386A7',
      'AWS::ServiceDiscovery::PrivateDnsNamespace': 'Namespace9B63B8C8',
      'AWS::EC2::VPC': 'Vpc8378EB38',
    });
  });

  it('has no physical name, so that it can be replaced', () => {
    for (const app of [lasting, ephemeral]) {
      expect(one(app, 'AWS::DynamoDB::Table').Properties.TableName).toBeUndefined();
      expect(one(app, 'AWS::S3::Bucket').Properties.BucketName).toBeUndefined();
      expect(one(app, 'AWS::ECS::Cluster').Properties.ClusterName).toBeUndefined();
      for (const type of [
        'AWS::SQS::Queue',
        'AWS::Lambda::Function',
        'AWS::IAM::Role',
        'AWS::Logs::LogGroup',
      ])
        for (const { Properties } of app.of(type))
          for (const name of ['QueueName', 'FunctionName', 'RoleName', 'LogGroupName'])
            expect(Properties[name]).toBeUndefined();
    }
  });

  it.each(stateful)('%s is kept when its stack goes, unless the deployment is ephemeral', (type) => {
    expect(one(lasting, type)).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    expect(one(ephemeral, type)).toMatchObject({ DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Delete' });
  });

  it('has a table with both indexes, expiry, point-in-time recovery and deletion protection', () => {
    const { Properties } = one(lasting, 'AWS::DynamoDB::Table');
    expect(Properties).toMatchObject({
      DeletionProtectionEnabled: true,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      BillingMode: 'PAY_PER_REQUEST',
    });
    const schema = (keys: Json) => keys.map((key: Json) => `${key.KeyType} ${key.AttributeName}`).join(', ');
    expect(schema(Properties.KeySchema)).toBe('HASH PK, RANGE SK');
    expect(
      Properties.GlobalSecondaryIndexes.map(
        (index: Json) => `${index.IndexName}: ${schema(index.KeySchema)}`,
      ),
    ).toEqual(['due: HASH duePK, RANGE nextCheckAt', 'names: HASH namesPK, RANGE tenantId']);
    expect(one(ephemeral, 'AWS::DynamoDB::Table').Properties.DeletionProtectionEnabled).toBe(false);
  });

  it('has a bucket that is versioned, sealed with our key and closed to the public and to plain HTTP', () => {
    expect(one(lasting, 'AWS::S3::Bucket').Properties).toMatchObject({
      VersioningConfiguration: { Status: 'Enabled' },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            ServerSideEncryptionByDefault: {
              SSEAlgorithm: 'aws:kms',
              KMSMasterKeyID: { 'Fn::GetAtt': ['Key961B73FD', 'Arn'] },
            },
          },
        ],
      },
    });
    const { Statement } = one(lasting, 'AWS::S3::BucketPolicy').Properties.PolicyDocument;
    expect(flat(Statement)).toContainEqual(
      expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
    );
  });

  it('drops half uploads after a day and former versions of backups after a week', () => {
    const { LifecycleConfiguration, ObjectLockEnabled } = one(lasting, 'AWS::S3::Bucket').Properties;
    expect(LifecycleConfiguration.Rules).toMatchObject([
      { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: 'Enabled' },
      {
        NoncurrentVersionExpiration: { NoncurrentDays: 7 },
        ExpiredObjectDeleteMarker: true,
        Status: 'Enabled',
      },
    ]);
    expect(ObjectLockEnabled).toBeUndefined();
  });

  it('locks backups for as long as the deployment says', async () => {
    const locked = await synthesize({ ...localContext, backupObjectLockDays: 30 });
    expect(one(locked, 'AWS::S3::Bucket').Properties).toMatchObject({
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } } },
    });
  });

  it('has a key that rotates', () => {
    expect(one(lasting, 'AWS::KMS::Key').Properties.EnableKeyRotation).toBe(true);
  });
});
