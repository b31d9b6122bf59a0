import { beforeEach, describe, expect, it } from 'vitest';
import type { Caller } from '../../local/aws/service.ts';
import { Iam } from '../../local/iam/iam.ts';

const accountId = '111122223333';
const roleArn = `arn:aws:iam::${accountId}:role/worker`;
const caller: Caller = {
  accessKeyId: 'ASIA',
  accountId,
  principalArn: `arn:aws:sts::${accountId}:assumed-role/worker/session`,
  roleArn,
  sessionName: 'session',
};
const cluster = `arn:aws:ecs:us-east-1:${accountId}:cluster/c1`;

let iam: Iam;
beforeEach(() => {
  iam = new Iam({ accountId, region: 'us-east-1' });
});

async function role(statements: unknown[], extra: Record<string, unknown> = {}): Promise<void> {
  await iam.provider().provision({
    type: 'AWS::IAM::Role',
    stack: 's',
    logicalId: 'Worker',
    properties: {
      RoleName: 'worker',
      AssumeRolePolicyDocument: {
        Statement: [
          { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      },
      Policies: [{ PolicyName: 'inline', PolicyDocument: { Statement: statements } }],
      ...extra,
    },
  });
}

const runTask = (context: Record<string, string | string[]> = {}) => ({
  action: 'ecs:RunTask',
  resource: `arn:aws:ecs:us-east-1:${accountId}:task-definition/node:3`,
  context,
});
const allow = (rest: Record<string, unknown> = {}) => ({
  Effect: 'Allow',
  Action: 'ecs:RunTask',
  Resource: '*',
  ...rest,
});

describe('decides by action, resource and condition', () => {
  const table: [
    string,
    unknown[],
    Record<string, string | string[]>,
    'allow' | 'explicit-deny' | 'implicit-deny',
  ][] = [
    ['nothing is allowed by default', [], {}, 'implicit-deny'],
    ['a statement for it allows', [allow()], {}, 'allow'],
    [
      'actions match without regard to case and with wildcards',
      [allow({ Action: ['ECS:run*'] })],
      {},
      'allow',
    ],
    ['another action does not help', [allow({ Action: 'ecs:StopTask' })], {}, 'implicit-deny'],
    ['a deny wins over every allow', [allow(), { ...allow(), Effect: 'Deny' }], {}, 'explicit-deny'],
    [
      'resources match with wildcards',
      [allow({ Resource: 'arn:aws:ecs:*:*:task-definition/node:*' })],
      {},
      'allow',
    ],
    [
      'another resource does not help',
      [allow({ Resource: 'arn:aws:ecs:*:*:task-definition/other:*' })],
      {},
      'implicit-deny',
    ],
    [
      'NotAction leaves out what it names',
      [allow({ Action: undefined, NotAction: 'ecs:RunTask' })],
      {},
      'implicit-deny',
    ],
    [
      'NotResource leaves out what it names',
      [allow({ Resource: undefined, NotResource: '*node:3' })],
      {},
      'implicit-deny',
    ],
    [
      'ArnEquals holds',
      [allow({ Condition: { ArnEquals: { 'ecs:cluster': cluster } } })],
      { 'ecs:cluster': cluster },
      'allow',
    ],
    [
      'ArnEquals fails',
      [allow({ Condition: { ArnEquals: { 'ecs:cluster': cluster } } })],
      { 'ecs:cluster': `${cluster}x` },
      'implicit-deny',
    ],
    [
      'ArnLike compares part by part',
      [allow({ Condition: { ArnLike: { 'ecs:cluster': 'arn:aws:ecs:*:*:cluster/*' } } })],
      { 'ecs:cluster': cluster },
      'allow',
    ],
    [
      'an absent key fails StringEquals',
      [allow({ Condition: { StringEquals: { 'ecs:cluster': cluster } } })],
      {},
      'implicit-deny',
    ],
    [
      'an absent key passes StringEqualsIfExists',
      [allow({ Condition: { StringEqualsIfExists: { 'ecs:cluster': cluster } } })],
      {},
      'allow',
    ],
    [
      'an absent key passes StringNotEquals',
      [allow({ Condition: { StringNotEquals: { 'ecs:cluster': cluster } } })],
      {},
      'allow',
    ],
    [
      'one of several values is enough',
      [allow({ Condition: { StringEquals: { 'ecs:cluster': ['x', cluster] } } })],
      { 'ecs:cluster': cluster },
      'allow',
    ],
    [
      'all operators of a statement must hold',
      [
        allow({
          Condition: { StringLike: { 'ecs:cluster': '*c1' }, Bool: { 'aws:SecureTransport': 'false' } },
        }),
      ],
      { 'ecs:cluster': cluster },
      'implicit-deny',
    ],
    [
      'plain HTTP stands in for TLS as new as a bucket may demand it',
      [
        allow(),
        { ...allow(), Effect: 'Deny', Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } } },
        { ...allow(), Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
      ],
      {},
      'allow',
    ],
    [
      'keys do not mind case',
      [allow({ Condition: { StringLike: { 'ECS:Cluster': '*c1' } } })],
      { 'ecs:cluster': cluster },
      'allow',
    ],
    [
      'Null true wants the key absent',
      [allow({ Condition: { Null: { 'aws:RequestTag/team': 'true' } } })],
      {},
      'allow',
    ],
    [
      'Null false wants the key there',
      [allow({ Condition: { Null: { 'aws:RequestTag/team': 'false' } } })],
      {},
      'implicit-deny',
    ],
    [
      'ForAllValues holds for a subset',
      [allow({ Condition: { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } } })],
      { 'aws:TagKeys': ['a'] },
      'allow',
    ],
    [
      'ForAllValues fails for more',
      [allow({ Condition: { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a'] } } })],
      { 'aws:TagKeys': ['a', 'c'] },
      'implicit-deny',
    ],
    [
      'ForAnyValue needs one',
      [allow({ Condition: { 'ForAnyValue:StringLike': { 'aws:TagKeys': 'a*' } } })],
      { 'aws:TagKeys': ['x', 'ab'] },
      'allow',
    ],
    [
      'ForAnyValue fails without any',
      [allow({ Condition: { 'ForAnyValue:StringLike': { 'aws:TagKeys': 'a*' } } })],
      {},
      'implicit-deny',
    ],
    [
      'NumericLessThan compares numbers',
      [allow({ Condition: { NumericLessThan: { 'ecs:cluster': '10' } } })],
      { 'ecs:cluster': '9' },
      'allow',
    ],
  ];
  it.each(table)('%s', async (_name, statements, context, effect) => {
    await role(statements.map((statement) => JSON.parse(JSON.stringify(statement))));
    expect(iam.decide(caller, runTask(context)).effect).toBe(effect);
  });
});

it('denies what it cannot decide, and says which operator or key that was', async () => {
  await role([
    allow({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }),
    allow({ Condition: { StringEquals: { 'ecs:enable-vpc-lattice': 'x' } } }),
  ]);
  expect(() => iam.require(caller, runTask(), { 'aws:SourceIp': '10.0.0.1' })).toThrow(
    /condition operator IpAddress is not supported by the local cloud; condition key ecs:enable-vpc-lattice is not supported/,
  );
});

it('an undecidable deny denies', async () => {
  await role([
    allow(),
    { ...allow(), Effect: 'Deny', Condition: { DateLessThan: { 'aws:CurrentTime': 'x' } } },
  ]);
  expect(iam.decide(caller, runTask()).effect).toBe('explicit-deny');
});

it('names principal, action and resource as AWS does', async () => {
  await role([]);
  expect(() => iam.require(caller, runTask())).toThrow(
    `User: ${caller.principalArn} is not authorized to perform: ecs:RunTask on resource: ${runTask().resource} because no identity-based policy allows the ecs:RunTask action`,
  );
});

it('a service may assume only roles that trust it', async () => {
  await role([]);
  expect(() => iam.requireTrust(roleArn, 'lambda.amazonaws.com')).not.toThrow();
  expect(() => iam.requireTrust(roleArn, 'ecs-tasks.amazonaws.com')).toThrow(
    'its trust policy does not allow it',
  );
  expect(() => iam.requireTrust(`${roleArn}2`, 'lambda.amazonaws.com')).toThrow('there is no such role');
});

it('policies of the templates attach to their roles; AWS-managed ones come from the table or fail', async () => {
  await role([], {
    ManagedPolicyArns: ['arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole'],
  });
  await iam.provider().provision({
    type: 'AWS::IAM::Policy',
    stack: 's',
    logicalId: 'P',
    properties: { Roles: ['worker'], PolicyDocument: { Statement: [allow()] } },
  });
  expect(iam.decide(caller, runTask()).effect).toBe('allow');
  expect(iam.decide(caller, { action: 'ec2:CreateNetworkInterface', resource: '*' }).effect).toBe('allow');
  await expect(
    role([], { ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess'] }),
  ).rejects.toThrow('AdministratorAccess, which the local cloud does not know');
});

it('elements and features it does not know fail at start', async () => {
  await expect(role([allow({ Principle: 'typo' })])).rejects.toThrow('does not know the element Principle');
  await expect(role([], { PermissionsBoundary: 'arn' })).rejects.toThrow('permissions boundaries');
});

describe('policies of resources', () => {
  const queue = `arn:aws:sqs:us-east-1:${accountId}:looks`;
  const rule = `arn:aws:events:us-east-1:${accountId}:rule/tasks`;
  const send = { action: 'sqs:SendMessage', resource: queue };

  it('let a service in only under their conditions', () => {
    iam.setResourcePolicy(queue, {
      Statement: {
        Effect: 'Allow',
        Principal: { Service: 'events.amazonaws.com' },
        Action: 'sqs:SendMessage',
        Resource: queue,
        Condition: { ArnEquals: { 'aws:SourceArn': rule } },
      },
    });
    const from = (sourceArn: string) => ({ ...send, context: { 'aws:SourceArn': sourceArn } });
    expect(() => iam.requireService('events.amazonaws.com', from(rule))).not.toThrow();
    expect(() => iam.requireService('events.amazonaws.com', from(`${rule}2`))).toThrow('is not authorized');
    expect(() => iam.requireService('sns.amazonaws.com', from(rule))).toThrow('is not authorized');
  });

  it('add to identity policies, a grant to the whole account does not, a deny ends it', async () => {
    await role([]);
    const grant = (principal: string) => ({
      Statement: [{ Effect: 'Allow', Principal: { AWS: principal }, Action: 'sqs:*', Resource: queue }],
    });
    iam.setResourcePolicy(queue, grant(`arn:aws:iam::${accountId}:root`));
    expect(iam.decide(caller, send).effect).toBe('implicit-deny');
    iam.setResourcePolicy(queue, grant(roleArn));
    expect(iam.decide(caller, send).effect).toBe('allow');
    iam.setResourcePolicy(queue, {
      Statement: [{ Effect: 'Deny', Principal: '*', Action: 'sqs:*', Resource: queue }],
    });
    expect(iam.decide(caller, send).effect).toBe('explicit-deny');
  });
});

it('keeps count of what each role used', async () => {
  await role([allow()]);
  iam.require(caller, runTask());
  iam.require(caller, runTask());
  expect(iam.usage()).toEqual([
    { principal: roleArn, action: 'ecs:RunTask', resource: runTask().resource, count: 2 },
  ]);
});
