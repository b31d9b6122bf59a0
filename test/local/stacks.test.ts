import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lambda, type SmallCloud, startSmallCloud, writeAssembly } from './support/small-cloud.ts';

const port = 4738;
/** A custom resource that does what its properties say, and remembers the events in a secret. */
const hand = `
import { appendFileSync } from 'node:fs';
export const handler = async (event) => {
  const { RequestType, ResourceProperties: { Id, Fail, Silent, Log, ...rest } } = event;
  appendFileSync(Log, JSON.stringify({ RequestType, Id, old: event.OldResourceProperties?.Id, PhysicalResourceId: event.PhysicalResourceId, rest }) + '\\n');
  if (Silent) return;
  const failed = Fail === RequestType;
  await fetch(event.ResponseURL, { method: 'PUT', body: JSON.stringify({
    Status: failed ? 'FAILED' : 'SUCCESS', Reason: failed ? 'told to fail' : '', PhysicalResourceId: Id,
    StackId: event.StackId, RequestId: event.RequestId, LogicalResourceId: event.LogicalResourceId, Data: { Word: 'word of ' + Id },
  }) });
};
`;

let small: SmallCloud;
let directory: string;
let log: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'local-stacks-'));
  small = await startSmallCloud(
    port,
    { own: hand },
    {
      ...lambda('Own', { Timeout: 60 }),
      Guard: {
        Type: 'Custom::Guard',
        Properties: {
          ServiceToken: { 'Fn::GetAtt': ['Own', 'Arn'] },
          Id: 'guard',
          Fail: 'Delete',
          Log: join(directory, 'guard.log'),
        },
      },
    },
  );
});
afterAll(async () => {
  await small?.stop();
  rmSync(directory, { recursive: true, force: true });
});
let round = 0;
beforeEach(() => {
  round += 1;
  log = join(directory, `${round}.log`);
});

const custom = (properties: object, more: object = {}) => ({
  Type: 'Custom::Thing',
  Properties: { ServiceToken: { 'Fn::GetAtt': ['Hand', 'Arn'] }, Log: log, ...properties },
  ...more,
});
// biome-ignore lint/suspicious/noExplicitAny: templates
const deploy = async (resources: Record<string, any>, Outputs: object = {}, name = `stack${round}`) => {
  const assembly = join(directory, `${name}.out`);
  writeAssembly(
    assembly,
    { hand },
    { ...lambda('Hand', { Timeout: 60 }), ...resources },
    { stackName: name, Outputs },
  );
  await small.cloud.stacks.begin(assembly).end;
  return small.cloud.stacks.list().find((stack) => stack.name === name)!;
};
const stack = () => small.cloud.stacks.list().find(({ name }) => name === `stack${round}`)!;
const events = async () => {
  const { readFileSync } = await import('node:fs');
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
};
const told = async () => (await events()).map(({ RequestType, Id }) => `${RequestType} ${Id}`);

describe('a stack that is deployed to a running cloud', () => {
  it('is made in the order of its references, with outputs of what custom resources give', async () => {
    const { status, outputs } = await deploy(
      {
        B: custom({ Id: 'b', Of: { 'Fn::GetAtt': ['A', 'Word'] }, Count: 3, Deep: { yes: true } }),
        A: custom({ Id: 'a' }),
      },
      { Word: { Value: { 'Fn::GetAtt': ['B', 'Word'] } }, Ref: { Value: { Ref: 'A' } } },
    );
    expect(status).toBe('CREATE_COMPLETE');
    expect(outputs).toEqual({ Word: 'word of b', Ref: 'a' });
    expect((await events())[1]).toMatchObject({
      RequestType: 'Create',
      rest: { Of: 'word of a', Count: '3', Deep: { yes: 'true' } },
    });
  });

  it('is updated where properties differ; what gets another physical id is replaced, what left goes last', async () => {
    await deploy({ A: custom({ Id: 'a' }), B: custom({ Id: 'b' }), C: custom({ Id: 'c' }) });
    const { status } = await deploy({
      A: custom({ Id: 'a' }),
      B: custom({ Id: 'b2' }),
      D: custom({ Id: 'd' }),
    });
    expect(status).toBe('UPDATE_COMPLETE');
    expect((await told()).slice(3)).toEqual(['Update b2', 'Create d', 'Delete b', 'Delete c']);
    expect((await events())[3]).toMatchObject({ old: 'b', PhysicalResourceId: 'b' });
  });

  it('goes back to what it was when an update fails', async () => {
    await deploy({ A: custom({ Id: 'a', Size: 1 }), B: custom({ Id: 'b' }) });
    const update = deploy({
      A: custom({ Id: 'a', Size: 2 }),
      C: custom({ Id: 'c' }, { DependsOn: 'A' }),
      B: custom({ Id: 'b', Fail: 'Update' }, { DependsOn: 'C' }),
    });
    await expect(update).rejects.toThrow(/B: told to fail/);
    expect(stack().status).toBe('UPDATE_ROLLBACK_COMPLETE');
    const after = (await events()).slice(2).map(({ RequestType, Id, rest }) => [RequestType, Id, rest.Size]);
    expect(after).toEqual([
      ['Update', 'a', '2'],
      ['Create', 'c', undefined],
      ['Update', 'b', undefined],
      ['Update', 'a', '1'],
      ['Update', 'b', undefined],
      ['Delete', 'c', undefined],
    ]);
    expect(stack().resources.find(({ logicalId }) => logicalId === 'A')?.properties.Size).toBe(1);
  });

  it('leaves nothing when its creation fails, and says why', async () => {
    const create = deploy({
      A: custom({ Id: 'a' }),
      B: custom({ Id: 'b', Fail: 'Create' }, { DependsOn: 'A' }),
    });
    await expect(create).rejects.toThrow(/Custom::Thing B: told to fail/);
    expect([stack().status, stack().resources]).toEqual(['ROLLBACK_COMPLETE', []]);
    expect((await told()).slice(2)).toEqual(['Delete b', 'Delete a']);
  });

  it('does not wait for ever for a function that says nothing', async () => {
    const create = deploy({ A: custom({ Id: 'a', Silent: 'yes', ServiceTimeout: 1 }) });
    await expect(create).rejects.toThrow(/did not receive a response from your Custom Resource within 1 s/);
  });

  it('is deleted in reverse; what it retains stays; what refuses stops it', async () => {
    await deploy({
      A: custom({ Id: 'a' }, { DeletionPolicy: 'Retain' }),
      B: custom({ Id: 'b', Fail: 'Delete' }, { DependsOn: 'A' }),
      C: custom({ Id: 'c' }, { DependsOn: 'B' }),
    });
    const name = `stack${round}`;
    await expect(small.cloud.stacks.beginDestroy(name).end).rejects.toThrow(/was not deleted: told to fail/);
    expect(stack().status).toBe('DELETE_FAILED');
    expect((await told()).slice(3)).toEqual(['Delete c', 'Delete b']);
    await deploy({
      A: custom({ Id: 'a' }, { DeletionPolicy: 'Retain' }),
      B: custom({ Id: 'b' }, { DependsOn: 'A' }),
    });
    await small.cloud.stacks.beginDestroy(name).end;
    expect((await told()).at(-1)).toBe('Delete b');
    expect(stack().status).toBe('DELETE_COMPLETE');
  });

  it('is refused before anything is done when it has what this cloud does not know', async () => {
    const wanted = deploy({ Topic: { Type: 'AWS::SNS::Topic', Properties: {} } });
    await expect(wanted).rejects.toThrow(/cannot deploy: AWS::SNS::Topic \(Topic\)/);
    expect(stack()).toBeUndefined();
  });
});

describe('secrets of a stack', () => {
  const client = (credentials = small.cloud.credentials) =>
    new SecretsManagerClient({ endpoint: small.cloud.url, region: small.cloud.region, credentials });

  it('hold what was put last, keep the value before, and obey IAM', async () => {
    const { resources } = await deploy({
      Secret: { Type: 'AWS::SecretsManager::Secret', Properties: { GenerateSecretString: {} } },
      Reader: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: {
            Statement: [
              {
                Effect: 'Allow',
                Principal: { Service: 'ecs-tasks.amazonaws.com' },
                Action: 'sts:AssumeRole',
              },
            ],
          },
          Policies: [
            {
              PolicyName: 'read',
              PolicyDocument: {
                Statement: [
                  { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: { Ref: 'Secret' } },
                ],
              },
            },
          ],
        },
      },
    });
    const SecretId = resources.find(({ logicalId }) => logicalId === 'Secret')!.ref;
    const admin = client();
    await admin.send(new PutSecretValueCommand({ SecretId, SecretString: 'one' }));
    await admin.send(new PutSecretValueCommand({ SecretId, SecretString: 'two' }));
    const role = resources.find(({ logicalId }) => logicalId === 'Reader')!.attributes.Arn!;
    const reader = client(small.cloud.assumeRole(role, 'task'));
    expect((await reader.send(new GetSecretValueCommand({ SecretId }))).SecretString).toBe('two');
    const before = await reader.send(new GetSecretValueCommand({ SecretId, VersionStage: 'AWSPREVIOUS' }));
    expect(before.SecretString).toBe('one');
    await expect(reader.send(new PutSecretValueCommand({ SecretId, SecretString: 'three' }))).rejects.toThrow(
      /not authorized to perform: secretsmanager:PutSecretValue/,
    );
    const described = await admin.send(new DescribeSecretCommand({ SecretId }));
    expect(
      Object.values(described.VersionIdsToStages ?? {})
        .flat()
        .sort(),
    ).toEqual(['AWSCURRENT', 'AWSPREVIOUS']);
    await small.cloud.stacks.beginDestroy(`stack${round}`).end;
    await expect(admin.send(new GetSecretValueCommand({ SecretId }))).rejects.toThrow(
      /can't find the specified secret/,
    );
  });
});

describe("the cloud's own stacks", () => {
  it('have their custom resources made at the start, and these decide whether the stack could go', async () => {
    log = join(directory, 'guard.log');
    expect(await told()).toEqual(['Create guard']);
    await expect(small.cloud.stacks.beginDestroy('app').end).rejects.toThrow(
      /app would not be deleted: told to fail/,
    );
    await expect(deploy({}, {}, 'app')).rejects.toThrow(/is a stack of the local cloud itself/);
  });
});
