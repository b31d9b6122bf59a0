import { beforeAll, describe, expect, it } from 'vitest';
import { flat, type Json, localContext, type Synthesized, synthesize } from '../synth.ts';

let app: Synthesized;
beforeAll(async () => {
  app = await synthesize(localContext);
});

/** All statements of the policies on a role, by the start of the role's logical id. */
function statementsOf(role: string): Json[] {
  const found = app
    .of('AWS::IAM::Policy')
    .filter(({ Properties }) => Properties.Roles[0].Ref.startsWith(role));
  expect(found).toHaveLength(1);
  return flat(found[0]?.Properties.PolicyDocument.Statement);
}
const list = (value: string | string[]) => (Array.isArray(value) ? value : [value]);
const rights = (role: string) =>
  statementsOf(role)
    .flatMap((statement) => list(statement.Action))
    .sort();

const logs = ['logs:CreateLogStream', 'logs:PutLogEvents'];
const network = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];
/** What Lambda's queue poller does in the name of the function. */
const poll = [
  'sqs:ChangeMessageVisibility',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'sqs:GetQueueUrl',
  'sqs:ReceiveMessage',
];
const dns = ['route53:ChangeResourceRecordSets', 'route53:GetHostedZone', 'route53:ListHostedZonesByName'];

const tasks = [
  'ecs:DescribeTasks',
  'ecs:ListTasks',
  'ecs:RunTask',
  'ecs:StopTask',
  'ecs:TagResource',
  'iam:PassRole',
  'iam:PassRole',
];
/** Members in and out of a cluster that has formed. */
const members = [
  ...logs,
  ...network,
  ...poll,
  ...dns,
  ...tasks,
  'dynamodb:GetItem',
  'dynamodb:PutItem',
  'dynamodb:Query',
  'dynamodb:Query',
  'kms:Decrypt',
  'servicediscovery:DeregisterInstance',
  'servicediscovery:ListInstances',
  'servicediscovery:RegisterInstance',
  'sqs:SendMessage',
];

/** Disks that members have left. */
const listDisks = ['ec2:DescribeSnapshots', 'ec2:DescribeVolumes'];
const copyDisks = ['ec2:CreateSnapshot', 'ec2:CreateSnapshot', 'ec2:CreateTags'];
const removeDisks = ['ec2:DeleteSnapshot', 'ec2:DeleteVolume'];

const allowed: Record<string, string[]> = {
  ApiRole: [
    ...logs,
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    'dynamodb:Query',
    'kms:Decrypt',
    's3:ListBucket',
    'sqs:SendMessage',
  ],
  CellC1JoinRole: [
    ...logs,
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'ecs:DescribeTasks',
    'kms:Decrypt',
    'sqs:SendMessage',
    'sts:AssumeRole',
  ],
  CellC1CreateRole: [
    ...logs,
    ...network,
    ...poll,
    ...dns,
    ...tasks,
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'kms:Decrypt',
    'kms:Encrypt',
    'servicediscovery:CreateService',
    'servicediscovery:RegisterInstance',
    'sqs:SendMessage',
  ],
  CellC1DeleteRole: [
    ...logs,
    ...network,
    ...poll,
    ...dns,
    'dynamodb:DeleteItem',
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    ...listDisks,
    ...removeDisks,
    'ecs:DescribeTasks',
    'ecs:ListTasks',
    'ecs:StopTask',
    'servicediscovery:DeleteService',
    'servicediscovery:DeregisterInstance',
    'servicediscovery:ListInstances',
    'sqs:SendMessage',
  ],
  CellC1BackupRole: [
    ...logs,
    ...network,
    ...poll,
    ...tasks,
    'dynamodb:DeleteItem',
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    'kms:Decrypt',
    's3:DeleteObject',
    's3:ListBucket',
    'sqs:SendMessage',
  ],
  CellC1SweepRole: [
    ...logs,
    ...network,
    ...poll,
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    // Its tenants' sickness, the due index, and all names: the last for a fleet patch.
    'dynamodb:Query',
    'dynamodb:Query',
    'dynamodb:Query',
    ...listDisks,
    ...removeDisks,
    'ecs:DescribeTasks',
    'ecs:ListTasks',
    'kms:Decrypt',
    'sqs:SendMessage',
  ],
  CellC1ScaleRole: members,
  CellC1PatchRole: [...members, 'kms:Encrypt'],
  CellC1RemediateRole: ['s3:ListBucket', ...members, ...listDisks, ...copyDisks],
  CellC1RestoreRole: members,
  CellC1BackupAccessRole: [
    'kms:Decrypt',
    'kms:GenerateDataKey',
    's3:AbortMultipartUpload',
    's3:GetObject',
    's3:ListBucket',
    's3:ListBucketMultipartUploads',
    's3:PutObject',
  ],
  RolesTask: ['execute-api:Invoke'],
  TenantGuardRole: [...logs, 'dynamodb:Query'],
};

describe('least privilege', () => {
  it.each(Object.keys(allowed))('%s may do this and nothing else', (role) => {
    expect(rights(role)).toEqual([...(allowed[role] ?? [])].sort());
  });

  it('names every right by a Sid of its own, so that each can be taken away alone', () => {
    for (const role of Object.keys(allowed)) {
      const own = statementsOf(role).filter(
        (statement) => !list(statement.Action).includes('sqs:ReceiveMessage'),
      );
      const sids = own.map((statement) => statement.Sid);
      expect(sids).not.toContain(undefined);
      expect(new Set(sids).size).toBe(sids.length);
    }
  });

  it('has no wildcard in any action', () => {
    for (const { Properties } of app.of('AWS::IAM::Policy'))
      for (const statement of Properties.PolicyDocument.Statement)
        for (const action of list(statement.Action)) expect(action).not.toContain('*');
  });

  /** Rights that AWS cannot bind to anything: reading addresses and zones, and Lambda's own network interfaces. */
  const unbound = ['ListDisks', 'NetworkInterfaces', 'ListAddresses', 'FindZone'];
  it('binds every right on all resources by a condition', () => {
    for (const role of Object.keys(allowed))
      for (const statement of statementsOf(role))
        if (list(statement.Resource).some((resource) => resource === '*' || resource.endsWith(':task/*')))
          expect([statement.Sid, statement.Condition ?? unbound.includes(statement.Sid)]).not.toEqual([
            statement.Sid,
            false,
          ]);
  });

  it('lets nobody but join and the credentials route open CA keys', () => {
    const purposes = (role: string) =>
      statementsOf(role).find((statement) => statement.Action === 'kms:Decrypt')?.Condition.StringEquals[
        'kms:EncryptionContext:purpose'
      ];
    expect(purposes('ApiRole')).toBe('ca');
    expect(purposes('CellC1JoinRole')).toBe('ca');
    expect(purposes('CellC1CreateRole')).toBe('control-plane');
    for (const role of ['CellC1SweepRole', 'CellC1ScaleRole', 'CellC1PatchRole', 'CellC1RemediateRole'])
      expect(purposes(role)).toBe('control-plane');
  });

  it('runs tasks of this cell in its cluster only, and passes three roles to ECS only', () => {
    const statements = statementsOf('CellC1CreateRole');
    const bySid = (sid: string) => statements.find((statement) => statement.Sid === sid);
    expect(bySid('RunTasks').Condition).toEqual({
      ArnEquals: { 'ecs:cluster': expect.stringMatching(/^<Cluster/) },
    });
    expect(bySid('RunTasks').Resource).toEqual([
      expect.stringMatching(/:task-definition\/\w*EbsTask\w*:\*$/),
      expect.stringMatching(/:task-definition\/\w*EphemeralTask\w*:\*$/),
    ]);
    expect(bySid('TagNewTasks').Condition).toEqual({ StringEquals: { 'ecs:CreateAction': 'RunTask' } });
    expect(bySid('PassTaskRoles')).toMatchObject({
      Resource: [expect.stringMatching(/^<RolesExecution/), expect.stringMatching(/^<RolesTask/)],
      Condition: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
    });
    expect(bySid('PassInfrastructureRole')).toMatchObject({
      Resource: expect.stringMatching(/^<RolesInfrastructure/),
      Condition: { StringEquals: { 'iam:PassedToService': 'ecs.amazonaws.com' } },
    });
  });

  it('lets a task call the join routes and nothing else', () => {
    const statement = statementsOf('RolesTask').find(({ Sid }) => Sid === 'CallJoin');
    expect(statement.Resource.map((arn: string) => arn.split('>/').at(-1))).toEqual([
      'v1/POST/join',
      'v1/POST/renew',
      'v1/POST/report',
      'v1/POST/storage',
      'v1/POST/work',
    ]);
  });

  it('touches only disks that are tagged as the cell’s', () => {
    const bySid = (sid: string, role = 'CellC1RemediateRole') =>
      statementsOf(role).find((statement) => statement.Sid === sid);
    const ofCell = { StringEquals: { 'aws:ResourceTag/etcd-nanny:cell': 'c1' } };
    expect(bySid('CopyDisks').Condition).toEqual(ofCell);
    for (const role of ['CellC1DeleteRole', 'CellC1SweepRole'])
      expect(bySid('RemoveDisks', role).Condition).toEqual(ofCell);
    expect(bySid('NewCopies').Condition).toEqual({
      StringEquals: { 'aws:RequestTag/etcd-nanny:cell': 'c1' },
    });
    expect(bySid('TagNewCopies').Condition).toEqual({
      StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' },
    });
  });

  it('lends backups of the cell, by join alone: nobody else may take the role on, and it cannot delete', () => {
    const role = app
      .of('AWS::IAM::Role')
      .find(({ logicalId }) => logicalId.startsWith('CellC1BackupAccessRole'));
    expect(flat(role?.Properties.AssumeRolePolicyDocument.Statement)).toEqual([
      {
        Action: 'sts:AssumeRole',
        Effect: 'Allow',
        Principal: { AWS: expect.stringMatching(/^<CellC1JoinRole\w+\.Arn>$/) },
      },
    ]);
    const lend = statementsOf('CellC1JoinRole').find(({ Sid }) => Sid === 'LendBackups');
    expect(lend.Resource).toBe(`<${role?.logicalId}.Arn>`);
    const bySid = (sid: string) =>
      statementsOf('CellC1BackupAccessRole').find((statement) => statement.Sid === sid);
    expect(bySid('Backups').Resource).toBe('<BackupBucketArn>/c1/*');
    expect(bySid('ListBackups')).toMatchObject({
      Resource: '<BackupBucketArn>',
      Condition: { StringLike: { 's3:prefix': 'c1/*' } },
    });
    expect(bySid('BackupKey')).toMatchObject({
      Resource: expect.stringMatching(/^<Key\w*Arn>$/),
      Condition: { StringEquals: { 'kms:EncryptionContext:aws:s3:arn': '<BackupBucketArn>' } },
    });
  });
});
