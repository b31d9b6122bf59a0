import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App, Stack, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { beforeAll, describe, expect, it } from 'vitest';
import { EtcdNannyStage } from '../../../lib/deployment.ts';
import {
  flat,
  fullContext,
  type Json,
  lastingContext,
  localContext,
  type Synthesized,
  synthesize,
} from '../synth.ts';

const variants: Record<string, Record<string, unknown>> = {
  local: localContext,
  lasting: lastingContext,
  'three cells, NAT and tokens': fullContext,
};

describe.each(Object.entries(variants))('every stack (%s)', (_name, context) => {
  let app: Synthesized;
  beforeAll(async () => {
    app = await synthesize(context);
  });

  it('passes cdk-nag and the rules of CloudFormation', () => {
    expect(app.report.pluginReports.flatMap((plugin: Json) => plugin.violations)).toEqual([]);
  });

  it('has no log group that keeps its lines for ever', () => {
    const groups = app.of('AWS::Logs::LogGroup');
    expect(groups.length).toBeGreaterThan(10);
    for (const { logicalId, Properties } of groups)
      expect([logicalId, Properties.RetentionInDays]).toEqual([logicalId, 30]);
  });

  it('has nothing that would make a log group of its own', () => {
    const groups = new Set(app.of('AWS::Logs::LogGroup').map(({ logicalId }) => logicalId));
    const known = (value: Json) => groups.has(flat(value).replace(/^<|[.>].*$/g, ''));
    for (const { logicalId, Properties } of app.of('AWS::Lambda::Function'))
      expect([logicalId, known(Properties.LoggingConfig?.LogGroup ?? '')]).toEqual([logicalId, true]);
    for (const { Properties } of app.of('AWS::ECS::TaskDefinition'))
      for (const { LogConfiguration } of Properties.ContainerDefinitions)
        expect(known(LogConfiguration.Options['awslogs-group'])).toBe(true);
    for (const { Properties } of app.of('AWS::EC2::FlowLog'))
      expect(known(Properties.LogGroupName)).toBe(true);
    for (const { Properties } of app.of('AWS::ApiGatewayV2::Stage'))
      expect(known(Properties.AccessLogSettings.DestinationArn)).toBe(true);
  });

  it('says of all that can carry tags what it belongs to', () => {
    const { version } = JSON.parse(
      readFileSync(path.resolve(import.meta.dirname, '../../../package.json'), 'utf8'),
    );
    const types = [
      'AWS::DynamoDB::Table',
      'AWS::S3::Bucket',
      'AWS::KMS::Key',
      'AWS::EC2::VPC',
      'AWS::ECS::Cluster',
      'AWS::ECS::TaskDefinition',
      'AWS::Lambda::Function',
      'AWS::SQS::Queue',
      'AWS::Logs::LogGroup',
    ];
    for (const [stack, template] of Object.entries(app.templates))
      for (const [id, { Type, Properties }] of Object.entries<Json>(template.Resources)) {
        if (!types.includes(Type)) continue;
        const tags = Object.fromEntries(Properties.Tags.map(({ Key, Value }: Json) => [Key, Value]));
        expect([id, tags]).toEqual([
          id,
          expect.objectContaining({
            'etcd-nanny:project': 'etcd-nanny',
            'etcd-nanny:stack': stack,
            'etcd-nanny:deployment': context.deploymentName ?? 'etcd-nanny',
            'etcd-nanny:version': version,
          }),
        ]);
      }
  });

  it('tells what somebody needs to find things: addresses, table, bucket, image and log groups', () => {
    const outputs = Object.values(app.templates).flatMap((template: Json) => Object.keys(template.Outputs));
    for (const wanted of [
      'ApiUrl',
      'TableName',
      'BackupBucketName',
      'NodeImageUri',
      'VpcId',
      'NamespaceName',
    ])
      expect(outputs).toContain(wanted);
    const named = outputs.filter((name) => /LogGroup$/.test(name));
    // Those of flow logs are found by their VPC.
    expect(named.length).toBe(
      app.of('AWS::Logs::LogGroup').filter(({ logicalId }) => !logicalId.startsWith('FlowLogs')).length,
    );
  });
});

describe('a deployment as a stage of an app of somebody else', () => {
  it('is the same stacks, under the name of the stage, with cdk-nag content', () => {
    const flags = JSON.parse(
      readFileSync(path.resolve(import.meta.dirname, '../../../cdk.json'), 'utf8'),
    ).context;
    const app = new App({ context: { ...flags, 'aws:cdk:bundling-stacks': [] } });
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    const env = { account: '111122223333', region: 'eu-west-1' };
    const stage = new EtcdNannyStage(app, 'Test', {
      env,
      settings: { cells: 2, ephemeral: true, nodeImageUri: localContext.nodeImageUri },
    });
    const names = app
      .synth()
      .getNestedAssembly('assembly-Test')
      .stacks.map(({ stackName }) => stackName);
    expect(names.sort()).toEqual(
      ['c1-fleet', 'c1-network', 'c2-fleet', 'c2-network', 'control-plane', 'state'].map(
        (part) => `Test-etcd-nanny-${part}`,
      ),
    );
    expect(stage.deployment.cells.map(({ id }) => id)).toEqual(['c1', 'c2']);
  });

  it('refuses a wrong setting like the app does', () => {
    const build = () => new EtcdNannyStage(new App(), 'Test', { settings: { cels: 2 } as never });
    expect(build).toThrow(/cels: unknown key/);
  });
});

describe('termination protection', () => {
  const protectedStacks = (context: Record<string, unknown>) => {
    const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
    const stage = new EtcdNannyStage(app, 'S', { settings: context });
    return stage.node.children
      .filter((child) => Stack.isStack(child) && child.terminationProtection)
      .map(({ node }) => node.id);
  };

  it('is on for all that holds data or members, and off for a try-out', () => {
    const image = { nodeImageUri: localContext.nodeImageUri };
    expect(protectedStacks(image)).toEqual([
      'etcd-nanny-state',
      'etcd-nanny-c1-network',
      'etcd-nanny-c1-fleet',
    ]);
    expect(protectedStacks({ ...image, ephemeral: true })).toEqual([]);
  });
});
