import { beforeAll, describe, expect, it } from 'vitest';
import {
  flat,
  fullContext,
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

  it('keeps the logical ids of everything that holds state or that members hang on, in every cell', async () => {
    const three = await synthesize(fullContext);
    const kept =
      /DynamoDB::Table|S3::Bucket$|KMS::Key|ECS::Cluster|PrivateDnsNamespace|EC2::(VPC|Subnet|SecurityGroup)$|ApiGateway::RestApi|ApiGatewayV2::Api$|SQS::Queue$/;
    const ids = Object.fromEntries(
      Object.entries(three.templates).map(([stack, template]: [string, Json]) => [
        stack,
        Object.entries<Json>(template.Resources)
          .filter(([, { Type, DeletionPolicy }]) => kept.test(Type) || DeletionPolicy === 'Retain')
          .map(([id]) => id)
          .sort(),
      ]),
    );
    expect(ids).toMatchInlineSnapshot(`
      {
        "prod-c1-fleet": [
          "ClusterEB0386A7",
          "JoinApi70321DEE",
          "MemberLogs43CB3BC7",
          "Namespace9B63B8C8",
        ],
        "prod-c1-network": [
          "EndpointsSecurityGroup252B86E5",
          "FunctionSecurityGroup37F9C17C",
          "NatPublic1Subnet2E618151",
          "NatPublic2Subnet3E0C8CBC",
          "NatPublic3Subnet69470E96",
          "TaskSecurityGroup2D2EA438",
          "Vpc8378EB38",
          "VpcmembersSubnet1Subnet368FFA4E",
          "VpcmembersSubnet2Subnet21E1225F",
          "VpcmembersSubnet3Subnet3B1996B6",
        ],
        "prod-c2-fleet": [
          "ClusterEB0386A7",
          "JoinApi70321DEE",
          "MemberLogs43CB3BC7",
          "Namespace9B63B8C8",
        ],
        "prod-c2-network": [
          "EndpointsSecurityGroup252B86E5",
          "FunctionSecurityGroup37F9C17C",
          "NatPublic1Subnet2E618151",
          "NatPublic2Subnet3E0C8CBC",
          "NatPublic3Subnet69470E96",
          "TaskSecurityGroup2D2EA438",
          "Vpc8378EB38",
          "VpcmembersSubnet1Subnet368FFA4E",
          "VpcmembersSubnet2Subnet21E1225F",
          "VpcmembersSubnet3Subnet3B1996B6",
        ],
        "prod-c3-fleet": [
          "ClusterEB0386A7",
          "JoinApi70321DEE",
          "MemberLogs43CB3BC7",
          "Namespace9B63B8C8",
        ],
        "prod-c3-network": [
          "EndpointsSecurityGroup252B86E5",
          "FunctionSecurityGroup37F9C17C",
          "NatPublic1Subnet2E618151",
          "NatPublic2Subnet3E0C8CBC",
          "NatPublic3Subnet69470E96",
          "TaskSecurityGroup2D2EA438",
          "Vpc8378EB38",
          "VpcmembersSubnet1Subnet368FFA4E",
          "VpcmembersSubnet2Subnet21E1225F",
          "VpcmembersSubnet3Subnet3B1996B6",
        ],
        "prod-control-plane": [
          "CellC1QueuesAlarmsDFB8F20E",
          "CellC1QueuesAlarmsDead23661390",
          "CellC1QueuesBackupCC26A9ED",
          "CellC1QueuesBackupDeadFB2ACA06",
          "CellC1QueuesCreate7D8BA9E1",
          "CellC1QueuesCreateDead21BE05F7",
          "CellC1QueuesDelete1B1DF84A",
          "CellC1QueuesDeleteDead0FE5774B",
          "CellC1QueuesPatch58D75BA3",
          "CellC1QueuesPatchDead24467F49",
          "CellC1QueuesRemediate97568168",
          "CellC1QueuesRemediateDeadC11DF3E2",
          "CellC1QueuesRestoreDead8103F291",
          "CellC1QueuesRestoreED1959A6",
          "CellC1QueuesScaleCD76C6EE",
          "CellC1QueuesScaleDead4CB9A3B0",
          "CellC1QueuesSweep575D6C0A",
          "CellC1QueuesSweepDead377D8C0A",
          "CellC2QueuesAlarms17A02D39",
          "CellC2QueuesAlarmsDeadD2218DB9",
          "CellC2QueuesBackupDead7A5FE8A3",
          "CellC2QueuesBackupE09F8A69",
          "CellC2QueuesCreate26B6D466",
          "CellC2QueuesCreateDeadF06EB53E",
          "CellC2QueuesDeleteDF134750",
          "CellC2QueuesDeleteDead5814FA4A",
          "CellC2QueuesPatchBCFD8A69",
          "CellC2QueuesPatchDead0FD74BF2",
          "CellC2QueuesRemediate55348DDE",
          "CellC2QueuesRemediateDeadA92AF0D9",
          "CellC2QueuesRestoreBE3AFDC8",
          "CellC2QueuesRestoreDeadE9623773",
          "CellC2QueuesScale00AA2A16",
          "CellC2QueuesScaleDead85F26FD3",
          "CellC2QueuesSweep34F4C234",
          "CellC2QueuesSweepDeadC3DA7FF7",
          "CellC3QueuesAlarms8FAAC9DA",
          "CellC3QueuesAlarmsDead600808A4",
          "CellC3QueuesBackupDead781CE6D3",
          "CellC3QueuesBackupECD05FEE",
          "CellC3QueuesCreateDeadF3BA3D9E",
          "CellC3QueuesCreateF610D49C",
          "CellC3QueuesDelete25EC0585",
          "CellC3QueuesDeleteDead77A014A8",
          "CellC3QueuesPatch716F9FA3",
          "CellC3QueuesPatchDeadB6666EDF",
          "CellC3QueuesRemediateDeadBAD75C9B",
          "CellC3QueuesRemediateF9744100",
          "CellC3QueuesRestore5705CAD4",
          "CellC3QueuesRestoreDeadA5FAAC62",
          "CellC3QueuesScale4A28C016",
          "CellC3QueuesScaleDeadAED1DB9D",
          "CellC3QueuesSweep42CA9735",
          "CellC3QueuesSweepDead9014863E",
          "PagesKey2473CCDC",
          "TenantApi2B2B6093",
        ],
        "prod-state": [
          "Backups9A29A52D",
          "Key961B73FD",
          "TableCD117FA1",
        ],
      }
    `);
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
