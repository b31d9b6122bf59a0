import { beforeAll, describe, expect, it } from 'vitest';
import { retirementNotice } from '../../local/chaos/retirement.ts';
import { compilePattern } from '../../local/services/events/pattern.ts';
import { type Json, localContext, type Synthesized, synthesize } from '../lib/synth.ts';

let app: Synthesized;
beforeAll(async () => {
  app = await synthesize(localContext);
});

const account = '111122223333';
const cluster = `arn:aws:ecs:us-east-1:${account}:cluster/etcd-nanny-c1-fleet-Cluster-AbCdEf`;

/** References become what they are on AWS. */
function resolved(value: Json): Json {
  if (Array.isArray(value)) return value.map(resolved);
  if (typeof value !== 'object' || value === null) return value;
  const { Ref: ref, 'Fn::Join': join, 'Fn::GetStackOutput': output, 'Fn::GetAtt': attribute } = value;
  const known: Record<string, string> = {
    'AWS::Partition': 'aws',
    'AWS::Region': 'us-east-1',
    'AWS::AccountId': account,
  };
  if (ref !== undefined) return known[ref] ?? 'etcd-nanny-c1-fleet-Cluster-AbCdEf';
  if (join !== undefined) return join[1].map(resolved).join(join[0]);
  if (output !== undefined)
    return /Arn/.test(output.OutputName) ? cluster : 'etcd-nanny-c1-fleet-Cluster-AbCdEf';
  if (attribute !== undefined) return cluster;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each)]));
}

/** Which rules of the templates an event sets off, by the part of their description behind the product's name. */
const rulesFor = (event: object): string[] =>
  app
    .of('AWS::Events::Rule')
    .filter(({ Properties }) => Properties.EventPattern !== undefined)
    .filter(({ Properties }) => compilePattern(resolved(Properties.EventPattern))(event))
    .map(({ Properties }) => Properties.Description.replace('etcd-nanny: ', ''));

/** As in the ECS developer guide, "Amazon ECS task state change events", cut to one container. */
const taskEvent = (over: object = {}) => ({
  version: '0',
  id: '3317b2af-7005-947d-b652-f55e762e571a',
  'detail-type': 'ECS Task State Change',
  source: 'aws.ecs',
  account,
  time: '2026-11-28T17:57:58Z',
  region: 'us-east-1',
  resources: [
    `arn:aws:ecs:us-east-1:${account}:task/etcd-nanny-c1-fleet-Cluster-AbCdEf/c13b4cb40f1f4fe4a2971f76ae5a47ad`,
  ],
  detail: {
    attachments: [
      {
        id: '1789bcae-ddfb-4d10-8ebe-8ac87ddba5b8',
        type: 'eni',
        status: 'ATTACHED',
        details: [{ name: 'privateIPv4Address', value: '10.42.1.150' }],
      },
    ],
    attributes: [{ name: 'ecs.cpu-architecture', value: 'arm64' }],
    availabilityZone: 'us-east-1a',
    clusterArn: cluster,
    containers: [{ exitCode: 137, lastStatus: 'STOPPED', name: 'member' }],
    cpu: '512',
    desiredStatus: 'STOPPED',
    group: 'family:etcdnannyc1fleetEbsTaskDefinition',
    launchType: 'FARGATE',
    lastStatus: 'STOPPED',
    memory: '1024',
    overrides: { containerOverrides: [{ name: 'member' }] },
    platformVersion: '1.4.0',
    startedBy: 'etcd-nanny/acme',
    stopCode: 'EssentialContainerExited',
    stoppedReason: 'Essential container in task exited',
    taskArn: `arn:aws:ecs:us-east-1:${account}:task/etcd-nanny-c1-fleet-Cluster-AbCdEf/c13b4cb40f1f4fe4a2971f76ae5a47ad`,
    version: 7,
    ...over,
  },
});

const retirement = (taskArn: string): Json => ({
  version: '0',
  id: 'b4e0b0a5-5a1d-4b6c-8f5b-3e2d1c0b9a87',
  account,
  region: 'us-east-1',
  time: '2026-11-28T17:00:00Z',
  ...retirementNotice(taskArn, { accountId: account, region: 'us-east-1' }, new Date('2026-11-28T17:00:00Z')),
});

const alarmEvent = (alarmName: string) => ({
  version: '0',
  id: 'c4c1c1c9-6542-e61b-6ef0-8c4d36933a92',
  'detail-type': 'CloudWatch Alarm State Change',
  source: 'aws.cloudwatch',
  account,
  time: '2026-11-28T17:00:00Z',
  region: 'us-east-1',
  resources: [`arn:aws:cloudwatch:us-east-1:${account}:alarm:${alarmName}`],
  detail: {
    alarmName,
    configuration: { metrics: [{ id: 'm1', returnData: true }] },
    previousState: { reason: 'Threshold Crossed', timestamp: '2026-11-28T16:00:00.000+0000', value: 'OK' },
    state: { reason: 'Threshold Crossed', timestamp: '2026-11-28T17:00:00.000+0000', value: 'ALARM' },
  },
});

describe('event patterns of the templates, against events as AWS sends them', () => {
  it('take the end of a task of the cell, whatever ended it', () => {
    for (const stopCode of [
      'EssentialContainerExited',
      'TaskFailedToStart',
      'UserInitiated',
      'TerminationNotice',
    ])
      expect(rulesFor(taskEvent({ stopCode }))).toEqual(['tasks of the cell have stopped']);
  });

  it('leave alone tasks that come up, and tasks of other clusters', () => {
    for (const lastStatus of [
      'PROVISIONING',
      'PENDING',
      'ACTIVATING',
      'RUNNING',
      'DEACTIVATING',
      'STOPPING',
      'DEPROVISIONING',
    ])
      expect(rulesFor(taskEvent({ lastStatus }))).toEqual([]);
    expect(rulesFor(taskEvent({ clusterArn: `${cluster}2` }))).toEqual([]);
  });

  it('take Fargate’s notice that a task of the cell will be retired, and no other cluster’s', () => {
    const ours = `arn:aws:ecs:us-east-1:${account}:task/etcd-nanny-c1-fleet-Cluster-AbCdEf/c13b4cb4`;
    expect(rulesFor(retirement(ours))).toEqual(['Fargate is going to stop tasks of the cell']);
    // One event may name tasks of several clusters.
    const both = { ...retirement(ours), resources: [ours.replace('etcd-nanny', 'other'), ours] };
    expect(rulesFor(both)).toEqual(['Fargate is going to stop tasks of the cell']);
    expect(rulesFor(retirement(ours.replace('etcd-nanny', 'other')))).toEqual([]);
    const issue = retirement(ours);
    expect(
      rulesFor({ ...issue, detail: { ...issue.detail, eventTypeCode: 'AWS_ECS_OPERATIONAL_ISSUE' } }),
    ).toEqual([]);
  });

  it('take alarms of tenants, and nobody else’s', () => {
    expect(rulesFor(alarmEvent('etcd-nanny/acme/quorum'))).toEqual([
      'an alarm of a tenant has changed its state',
    ]);
    expect(rulesFor(alarmEvent('billing'))).toEqual([]);
  });

  it('there is no rule with a pattern that nothing here sets off', () => {
    const patterns = app
      .of('AWS::Events::Rule')
      .filter(({ Properties }) => Properties.EventPattern !== undefined);
    expect(patterns).toHaveLength(3);
  });
});

describe('the environment of functions', () => {
  /** As on AWS: all names and values together, 4 KB. Names that CloudFormation and AWS choose are at most this long. */
  const physical = (logicalOrAttribute: string): string =>
    /Arn|Role|Url|Queue/.test(logicalOrAttribute) ? 'x'.repeat(110) : 'x'.repeat(60);
  /** `<stack>-<logical id>-<12 characters>`, as CloudFormation names queues. */
  const queueName = (logicalId: string): string => `etcd-nanny-control-plane-${logicalId}-${'x'.repeat(12)}`;
  const queueUrl = (logicalId: string): string =>
    `https://sqs.ap-southeast-3.amazonaws.com/123456789012/${queueName(logicalId)}`;
  const text = (value: Json): string => {
    if (typeof value === 'string') return value;
    if (value['Fn::Select']) {
      const [part, split] = value['Fn::Select'];
      return queueUrl(split['Fn::Split'][1].Ref).split('/')[part]!;
    }
    if (value['Fn::GetAtt']?.[1] === 'QueueName') return queueName(value['Fn::GetAtt'][0]);
    if (/Queues/.test(value.Ref)) return queueUrl(value.Ref);
    if (value.Ref !== undefined) return physical(value.Ref);
    if (value['Fn::Join']) return value['Fn::Join'][1].map(text).join(value['Fn::Join'][0]);
    if (value['Fn::GetAtt']) return physical(value['Fn::GetAtt'].join('.'));
    if (value['Fn::GetStackOutput']) return physical(value['Fn::GetStackOutput'].OutputName);
    return physical(JSON.stringify(value));
  };
  const bytes = (variables: Record<string, Json>): number =>
    Object.entries(variables).reduce((sum, [name, value]) => sum + name.length + text(value).length, 0);

  it.each([1, 3])('fits into 4 KB with %i cells', async (cells) => {
    const { of } = await synthesize({ ...localContext, cells, vpcCidr: '10.42.0.0/16' });
    const sizes = of('AWS::Lambda::Function')
      .filter(({ Properties }) => Properties.Environment?.Variables !== undefined)
      .map(({ logicalId, Properties }) => [logicalId, bytes(Properties.Environment.Variables)] as const);
    expect(sizes.length).toBeGreaterThan(8);
    expect(sizes.filter(([, size]) => size > 4096)).toEqual([]);
  });
});
