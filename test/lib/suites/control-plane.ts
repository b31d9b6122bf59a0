import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type * as z from 'zod';
import { assumptions } from '../../../bin/cli/cost/assumptions.ts';
import { envSchema as alarms } from '../../../lambdas/alarms/env.ts';
import { envSchema as api } from '../../../lambdas/api/env.ts';
import { alarmKinds } from '../../../lambdas/core/alarms.ts';
import { maxTenantMetrics } from '../../../lambdas/core/metrics.ts';
import { envSchema as create } from '../../../lambdas/create/env.ts';
import { envSchema as remove } from '../../../lambdas/delete/env.ts';
import { envSchema as join } from '../../../lambdas/join/env.ts';
import { envSchema as patch } from '../../../lambdas/patch/env.ts';
import { envSchema as remediate } from '../../../lambdas/remediate/env.ts';
import { envSchema as restore } from '../../../lambdas/restore/env.ts';
import { envSchema as scale } from '../../../lambdas/scale/env.ts';
import { envSchema as sweep } from '../../../lambdas/sweep/env.ts';
import { flat, type Json, localContext, type Resource, type Synthesized, synthesize } from '../synth.ts';

const schemas: Record<string, z.ZodObject> = {
  ApiFunction: api,
  CellC1JoinFunction: join,
  CellC1CreateFunction: create,
  CellC1DeleteFunction: remove,
  CellC1ScaleFunction: scale,
  CellC1PatchFunction: patch,
  CellC1RemediateFunction: remediate,
  CellC1RestoreFunction: restore,
  CellC1SweepFunction: sweep,
  CellC1AlarmsFunction: alarms,
};

let app: Synthesized;
beforeAll(async () => {
  app = await synthesize(localContext);
});

const functionOf = (name: string): Resource =>
  app.of('AWS::Lambda::Function').find(({ logicalId }) => logicalId.startsWith(name)) as Resource;
const byType = (type: string, test: (properties: Json) => boolean) =>
  app.of(type).filter(({ Properties }) => test(Properties));

describe('the guard against destroying', () => {
  it('depends on everything else in its stack, so that it is asked before anything is gone', () => {
    const { Resources } = app.templates['etcd-nanny-control-plane'];
    const [id, guard] = Object.entries<Json>(Resources).find(
      ([, { Type }]) => Type === 'Custom::TenantGuard',
    )!;
    expect(guard.Properties.DestroyWithTenants).toBe(false);
    const others = Object.keys(Resources).filter((other) => !other.startsWith('TenantGuard'));
    expect(others.filter((other) => !guard.DependsOn.includes(other))).toEqual([]);
    expect(others.length).toBeGreaterThan(50);
    expect(id).toMatch(/^TenantGuard/);
  });
});

describe('functions', () => {
  it('are all built alike: arm64, Node 24, ESM entry, own log group with retention', () => {
    const functions = app.of('AWS::Lambda::Function');
    expect(functions).toHaveLength(12);
    for (const { Properties } of functions) {
      expect(Properties).toMatchObject({
        Architectures: ['arm64'],
        Runtime: 'nodejs24.x',
        Handler: 'index.handler',
        LoggingConfig: { LogFormat: 'JSON', LogGroup: expect.anything() },
      });
    }
    for (const { Properties } of app.of('AWS::Logs::LogGroup')) expect(Properties.RetentionInDays).toBe(30);
  });

  it.each(Object.keys(schemas))('%s gets exactly the environment that its schema wants', (name) => {
    const { NODE_OPTIONS, ...own } = flat(functionOf(name).Properties.Environment.Variables);
    expect(NODE_OPTIONS).toBe('--enable-source-maps');
    const schema = schemas[name] as z.ZodObject;
    expect(Object.keys(own).sort()).toEqual(Object.keys(schema.shape).sort());
    const text = JSON.stringify(own)
      .replace(/<CellC1Queues(\w+?)[0-9A-F]{8}>/g, 'https://sqs.local/$1')
      // The first parts of a URL, as they are selected, with slashes between them.
      .replace(/("queueBase\\*":\\*")[^"\\]+/g, '$1https://sqs.local/1');
    expect(schema.safeParse(JSON.parse(text)).error).toBeUndefined();
  });

  it('that call nannies live in the VPC; api, join and alarms do not need to', () => {
    const inVpc = Object.keys(schemas).filter((name) => functionOf(name).Properties.VpcConfig);
    const outside = ['ApiFunction', 'CellC1JoinFunction', 'CellC1AlarmsFunction'];
    expect(inVpc).toEqual(Object.keys(schemas).filter((name) => !outside.includes(name)));
  });

  it('offer the versions that the deployment was told of', () => {
    const { ETCD_VERSIONS } = functionOf('ApiFunction').Properties.Environment.Variables;
    expect(JSON.parse(ETCD_VERSIONS)).toEqual({ default: '3.6.16', offered: ['3.5.35', '3.6.16'] });
  });
});

describe('queues', () => {
  it('hide a message longer than its function may run, and end in a dead-letter queue', () => {
    const queues = byType('AWS::SQS::Queue', (queue) => queue.RedrivePolicy);
    expect(queues).toHaveLength(9);
    for (const { Properties } of queues) {
      expect(Properties.VisibilityTimeout).toBeGreaterThan(
        functionOf('CellC1CreateFunction').Properties.Timeout,
      );
      expect(Properties.RedrivePolicy.maxReceiveCount).toBe(5);
    }
  });

  it('refuse plain HTTP, all eighteen of them', () => {
    const policies = app
      .of('AWS::SQS::QueuePolicy')
      .map(({ Properties }) => flat(Properties.PolicyDocument.Statement));
    expect(policies).toHaveLength(18);
    for (const statements of policies)
      expect(statements).toContainEqual(
        expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      );
  });

  it('are read with partial batch failures: one bad message never repeats the others', () => {
    const sources = app.of('AWS::Lambda::EventSourceMapping');
    expect(sources).toHaveLength(9);
    for (const { Properties } of sources)
      expect(Properties.FunctionResponseTypes).toEqual(['ReportBatchItemFailures']);
  });
});

describe('triggers', () => {
  it('wake the sweep each minute, and at the end of each task of our own cluster', () => {
    const [schedule] = byType('AWS::Events::Rule', (rule) => rule.ScheduleExpression);
    expect(schedule?.Properties.ScheduleExpression).toBe('rate(1 minute)');
    const [tasks] = byType('AWS::Events::Rule', (rule) => rule.EventPattern);
    expect(flat(tasks?.Properties.EventPattern)).toEqual({
      source: ['aws.ecs'],
      'detail-type': ['ECS Task State Change'],
      detail: { clusterArn: [expect.stringMatching(/^<Cluster/)], lastStatus: ['STOPPED'] },
    });
    expect(flat(tasks?.Properties.Targets[0].Arn)).toMatch(/^<CellC1QueuesSweep/);
  });

  it("wake the sweep when an alarm of a tenant changes, and at nobody else's", () => {
    const [alarms] = byType('AWS::Events::Rule', (rule) => rule.EventPattern?.source[0] === 'aws.cloudwatch');
    expect(flat(alarms?.Properties.EventPattern)).toEqual({
      source: ['aws.cloudwatch'],
      'detail-type': ['CloudWatch Alarm State Change'],
      detail: { alarmName: [{ prefix: 'etcd-nanny/' }] },
    });
    expect(flat(alarms?.Properties.Targets[0].Arn)).toMatch(/^<CellC1QueuesSweep/);
  });

  it('wake the sweep when Fargate is going to retire tasks of our own cluster', () => {
    const [retirements] = byType(
      'AWS::Events::Rule',
      (rule) => rule.EventPattern?.source[0] === 'aws.health',
    );
    expect(flat(retirements?.Properties.EventPattern)).toEqual({
      source: ['aws.health'],
      'detail-type': ['AWS Health Event'],
      resources: [{ prefix: expect.stringMatching(/:task\/<Cluster\w+>\/$/) }],
      detail: { service: ['ECS'], eventTypeCode: ['AWS_ECS_TASK_PATCHING_RETIREMENT'] },
    });
    expect(flat(retirements?.Properties.Targets[0].Arn)).toMatch(/^<CellC1QueuesSweep/);
  });
});

describe('APIs', () => {
  it('let in signed calls only', () => {
    const routes = app.of('AWS::ApiGatewayV2::Route').map(({ Properties }) => Properties);
    expect(routes.map((route) => [route.RouteKey, route.AuthorizationType])).toEqual([
      ['ANY /v1/{proxy+}', 'AWS_IAM'],
    ]);
    const methods = app.of('AWS::ApiGateway::Method').map(({ Properties }) => Properties);
    expect(methods.map((method) => [method.HttpMethod, method.AuthorizationType])).toEqual(
      Array.from({ length: 5 }, () => ['POST', 'AWS_IAM']),
    );
    expect(
      app
        .of('AWS::ApiGateway::Resource')
        .map(({ Properties }) => Properties.PathPart)
        .sort(),
    ).toEqual(['join', 'renew', 'report', 'storage', 'work']);
  });

  it('keep the join API private: only this account, only through the endpoint of the cell', () => {
    const [api] = app.of('AWS::ApiGateway::RestApi');
    expect(api?.Properties.EndpointConfiguration.Types).toEqual(['PRIVATE']);
    const endpoint = expect.stringMatching(/^<EndpointsExecuteApi/);
    const statements = flat(api?.Properties.Policy.Statement);
    expect(statements).toEqual([
      expect.objectContaining({
        Effect: 'Allow',
        Principal: { AWS: expect.stringMatching(/:root$/) },
        Condition: { StringEquals: { 'aws:SourceVpce': endpoint } },
      }),
      expect.objectContaining({
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Condition: { StringNotEquals: { 'aws:SourceVpce': endpoint } },
      }),
    ]);
  });
});

it('has as many parts that cost by the month as docs/cost.md says', () => {
  const { fleetAlarms, dashboards, queues, interfaceEndpoints } = assumptions;
  const endpoints = byType('AWS::EC2::VPCEndpoint', ({ VpcEndpointType }) => VpcEndpointType === 'Interface');
  expect({
    fleetAlarms: app.of('AWS::CloudWatch::Alarm').length,
    composites: app.of('AWS::CloudWatch::CompositeAlarm').length,
    dashboards: app.of('AWS::CloudWatch::Dashboard').length,
    queues: app.of('AWS::Lambda::EventSourceMapping').length,
    interfaceEndpoints: endpoints.length,
  }).toEqual({ fleetAlarms, composites: 1, dashboards, queues, interfaceEndpoints });
});

describe('alarms', () => {
  const alarms = () => app.of('AWS::CloudWatch::Alarm').map(({ Properties }) => flat(Properties));
  const composite = () =>
    app.of('AWS::CloudWatch::CompositeAlarm').map(({ Properties }) => flat(Properties))[0];

  it('of the control plane page together; a storm and a fleet patch that stops page alone', () => {
    const paging = alarms().filter(({ AlarmActions }) => AlarmActions !== undefined);
    expect(paging.map(({ AlarmName }) => AlarmName).sort()).toEqual([
      'etcd-nanny-fleet-patch-stopped',
      'etcd-nanny-storm-stop',
    ]);
    expect(composite().AlarmName).toBe('etcd-nanny-control-plane');
    expect(composite().AlarmActions).toEqual(paging[0].AlarmActions);
    for (const { AlarmName } of alarms()) {
      if (AlarmName === 'etcd-nanny-storm-echo') continue;
      const ruled = app
        .of('AWS::CloudWatch::Alarm')
        .find(({ Properties }) => Properties.AlarmName === AlarmName)?.logicalId;
      if (!paging.some((alarm) => alarm.AlarmName === AlarmName))
        expect(composite().AlarmRule).toContain(`<${ruled}.Arn>`);
    }
  });

  it('say what to do, in a runbook that exists', () => {
    const described = [...alarms(), composite()].map(({ AlarmDescription }) => AlarmDescription);
    for (const text of described) {
      const [, file] = /What to do: (docs\/runbooks\/[a-z-]+\.md)$/i.exec(text) ?? [];
      expect(file, text).toBeDefined();
      expect(existsSync(new URL(`../../../${file}`, import.meta.url)), file).toBe(true);
    }
    for (const kind of alarmKinds)
      expect(existsSync(new URL(`../../../docs/runbooks/${kind}.md`, import.meta.url)), kind).toBe(true);
  });

  it('of a storm go on in what keeps tenants quiet, until theirs have seen that all is well', () => {
    const [echo] = alarms().filter(({ AlarmName }) => AlarmName === 'etcd-nanny-storm-echo');
    expect(echo).toMatchObject({
      MetricName: 'StormStop',
      Period: 60,
      EvaluationPeriods: 15,
      DatapointsToAlarm: 1,
      TreatMissingData: 'notBreaching',
    });
    const [settings] = app
      .of('AWS::Lambda::Function')
      .flatMap(({ Properties }) => Properties.Environment?.Variables?.STORM_ALARM ?? []);
    expect(settings).toBe(echo.AlarmName);
  });

  it('take ten metrics at most: CloudWatch takes no more in one', () => {
    for (const { Metrics = [] } of alarms())
      expect(Metrics.filter(({ MetricStat }: Json) => MetricStat).length).toBeLessThanOrEqual(10);
  });

  it('reach their topic through its key, and CloudWatch of this account alone gets in', () => {
    const topic = app.of('AWS::SNS::Topic')[0]?.Properties;
    expect(flat(topic.KmsMasterKeyId)).toMatch(/^<PagesKey\w+\.Arn>$/);
    const key = app.of('AWS::KMS::Key').find(({ logicalId }) => logicalId.startsWith('PagesKey'));
    const policies = [
      ...flat(key?.Properties.KeyPolicy.Statement),
      ...flat(app.of('AWS::SNS::TopicPolicy')[0]?.Properties.PolicyDocument.Statement),
    ].filter(({ Principal }) => Principal?.Service === 'cloudwatch.amazonaws.com');
    expect(policies).toHaveLength(2);
    for (const { Condition } of policies)
      expect(Condition.StringEquals).toEqual({ 'aws:SourceAccount': '<AWS::AccountId>' });
  });

  it('of tenants are drawn on a dashboard where the tenant is chosen', () => {
    const bodies = app
      .of('AWS::CloudWatch::Dashboard')
      .map(({ Properties }) => JSON.parse(flat(Properties.DashboardBody)));
    expect(bodies).toHaveLength(2);
    const tenant = bodies.find(({ variables }) => variables !== undefined);
    expect(tenant.variables[0]).toMatchObject({ property: 'TenantId', inputType: 'select' });
    expect(tenant.widgets).toHaveLength(maxTenantMetrics);
  });
});
