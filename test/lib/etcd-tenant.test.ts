import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App, CfnParameter, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, describe, expect, it, test } from 'vitest';
import { EtcdTenant, type EtcdTenantProps } from '../../lib/index.ts';
import { flat, type Json } from './synth.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function synth(build: (stack: Stack) => void): Json {
  const outdir = mkdtempSync(path.join(tmpdir(), 'etcd-tenant-'));
  folders.push(outdir);
  const app = new App({
    outdir,
    context: {
      'aws:cdk:bundling-stacks': [],
      '@aws-cdk/core:validateAgainstDefaultRules': true,
      '@aws-cdk/aws-iam:minimizePolicies': true,
    },
  });
  build(new Stack(app, 'shop'));
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
  return JSON.parse(readFileSync(path.join(outdir, 'shop.template.json'), 'utf8'));
}

const synthTenant = (props: EtcdTenantProps = {}, id = 'acme') =>
  synth((stack) => void new EtcdTenant(stack, id, props));
const all = (template: Json, type: string): Json[] =>
  Object.values<Json>(template.Resources).filter(({ Type }) => Type === type);
const one = (template: Json, type: string): Json => {
  const found = all(template, type);
  expect(found).toHaveLength(1);
  return found[0];
};
const refusal = (props: object, id = 'acme'): string => {
  try {
    new EtcdTenant(new Stack(new App(), 'shop'), id, props as EtcdTenantProps);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
};

describe('EtcdTenant', () => {
  // Validated by cdk-nag and CloudFormation's rules as a side effect: they fail the synth.
  const template = synthTenant({ members: 5, backup: { drillHours: 12 }, deletionProtection: true });

  it('states what it was given and leaves the rest to the deployment', () => {
    const { Properties } = one(template, 'Custom::EtcdTenant');
    expect(Properties).toMatchObject({
      TenantId: 'acme',
      Spec: { members: 5, backup: { drillHours: 12 }, deletionProtection: true },
      User: 'root',
      CredentialsDays: 90,
      FinalBackup: true,
      Adopt: false,
      TimeoutMinutes: 50,
      ServiceTimeout: '3300',
    });
    expect(Object.keys(Properties.Spec)).toEqual(['members', 'backup', 'deletionProtection']);
  });

  it('finds the API of the deployment in the same account by itself', () => {
    const { Variables } = one(template, 'AWS::Lambda::Function').Properties.Environment;
    expect(Variables.API_URL).toEqual({
      'Fn::GetStackOutput': {
        StackName: 'etcd-nanny-control-plane',
        OutputName: 'ApiUrl',
        Region: { Ref: 'AWS::Region' },
      },
    });
  });

  it('may do with its own tenant what it needs, with no other, and with no wildcard', () => {
    const statements = all(template, 'AWS::IAM::Policy').flatMap(
      ({ Properties }) => Properties.PolicyDocument.Statement,
    );
    const api = statements.filter(({ Action }: Json) => [Action].flat().includes('execute-api:Invoke'));
    const routes = api.flatMap(({ Resource }: Json) =>
      Resource.map((arn: Json) =>
        JSON.stringify(arn)
          .replace(/^.*default\//, '')
          .replace(/"\]\]\}$/, ''),
      ),
    );
    expect(routes).toEqual([
      'DELETE/v1/tenants/acme',
      'GET/v1/tenants/acme',
      'GET/v1/tenants/acme/connection',
      'GET/v1/tenants/acme/operations',
      'PATCH/v1/tenants/acme',
      'POST/v1/tenants/acme/credentials',
      'PUT/v1/tenants/acme',
    ]);
    expect(statements.filter(({ Resource }: Json) => JSON.stringify(Resource).includes('*'))).toEqual([]);
  });

  it('looks at its credentials daily', () => {
    const { Properties } = one(template, 'AWS::Events::Rule');
    expect(Properties.ScheduleExpression).toBe('rate(1 day)');
    expect(JSON.stringify(flat(Properties.Targets[0].Input))).toMatch(/Renew.*TenantId.*acme.*SecretArn/);
  });

  it('with another name is another resource with rights of its own, so that the old one can still be deleted', () => {
    const ids = (template: Json) =>
      Object.entries<Json>(template.Resources)
        .filter(([, { Type }]) => ['Custom::EtcdTenant', 'AWS::SecretsManager::Secret'].includes(Type))
        .map(([id]) => id);
    const access = (template: Json) => Object.keys(template.Resources).find((id) => id.includes('Access'));
    const other = synthTenant({ tenantName: 'beta' });
    expect(ids(other).filter((id) => ids(template).includes(id))).toEqual([]);
    expect(one(other, 'Custom::EtcdTenant').DependsOn).toContain(access(other));
    expect(access(other)).not.toBe(access(template));
  });

  it('serves all tenants of a stack by one function', () => {
    const two = synth((stack) => {
      new EtcdTenant(stack, 'acme');
      new EtcdTenant(stack, 'beta', { deploymentName: 'etcd-nanny' });
    });
    one(two, 'AWS::Lambda::Function');
    expect(all(two, 'AWS::SecretsManager::Secret')).toHaveLength(2);
  });

  it.each([
    [RemovalPolicy.SNAPSHOT, 'Delete', true],
    [RemovalPolicy.DESTROY, 'Delete', false],
    [RemovalPolicy.RETAIN, 'Retain', false],
  ] as const)('removalPolicy %s', (removalPolicy, policy, finalBackup) => {
    const tenant = one(synthTenant({ removalPolicy }), 'Custom::EtcdTenant');
    expect([tenant.DeletionPolicy, tenant.UpdateReplacePolicy]).toEqual([policy, policy]);
    expect(tenant.Properties.FinalBackup).toBe(finalBackup);
  });
});

describe('what is wrong is told when the app is synthesized', () => {
  test.each<[string, object, RegExp]>([
    ['an unknown field', { member: 3 }, /member is not a known field/],
    ['members', { members: 4 }, /members must be 1, 3 or 5/],
    ['a version that is none', { version: 'latest' }, /version must be a version such as "3.6.16"/],
    ['a size', { size: 'huge' }, /size must be micro, small/],
    ['a field of backup', { backup: { drillHours: 0 } }, /backup.drillHours must be at least 1/],
    [
      'an unknown field of the window',
      { maintenanceWindow: { days: ['mon'], start: '03:30', minutes: 60, zone: 'CET' } },
      /maintenanceWindow.zone is not a known field/,
    ],
    [
      'storage and quota',
      { storageGiB: 5, quotaMiB: 8192 },
      /storageGiB is too small for a quota of 8192 MiB/,
    ],
    [
      'a short life',
      { credentialsLife: Duration.hours(5) },
      /credentialsLife must be from 3 to 365 whole days/,
    ],
    ['a long wait', { timeout: Duration.hours(2) }, /timeout must be from 1 to 55 whole minutes/],
    ['a reserved user', { user: 'etcd-peer' }, /user is reserved/],
    ['a removal policy', { removalPolicy: 'keep' }, /removalPolicy must be RemovalPolicy.SNAPSHOT/],
    ['a name', { tenantName: 'Acme' }, /tenantName must be 2 to 39 characters/],
  ])('%s', (_what, props, message) => {
    expect(refusal(props)).toMatch(message);
  });

  test('all of it at once, with the construct that it is about', () => {
    const text = refusal({ members: 2, volumes: 'ebs', size: 'tiny' });
    expect(text).toMatch(/^EtcdTenant shop\/acme:\n/);
    expect(text.split('\n')).toHaveLength(4);
  });

  test('an id that cannot be the name of a tenant', () => {
    expect(refusal({}, 'Etcd')).toMatch(/tenantName is needed: the id "Etcd" cannot be/);
  });

  test('a value that is not known before the deploy', () => {
    const stack = new Stack(new App(), 'shop');
    const parameter = new CfnParameter(stack, 'Members', { type: 'Number' });
    const build = () => new EtcdTenant(stack, 'acme', { members: parameter.valueAsNumber as 3 });
    expect(build).toThrow(/members must be known when the app is synthesized/);
  });

  test('two of one name in a stack', () => {
    const stack = new Stack(new App({ context: { 'aws:cdk:bundling-stacks': [] } }), 'shop');
    new EtcdTenant(stack, 'acme');
    expect(() => new EtcdTenant(stack, 'other', { tenantName: 'acme' })).toThrow(
      /another tenant "acme" already/,
    );
  });
});
