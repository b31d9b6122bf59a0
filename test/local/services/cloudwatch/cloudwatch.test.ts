import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  PutCompositeAlarmCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../../e2e/support/until.ts';
import { type SmallCloud, startSmallCloud } from '../../support/small-cloud.ts';

const account = '000000000000';
const alarmsOfAccount = { StringEquals: { 'aws:SourceAccount': account } };
const letIn = (Action: string[], Resource: unknown) => ({
  Effect: 'Allow',
  Principal: { Service: 'cloudwatch.amazonaws.com' },
  Action,
  Resource,
  Condition: alarmsOfAccount,
});
const topic = (id: string, Resource: unknown) => ({
  [id]: { Type: 'AWS::SNS::Topic', Properties: { TopicName: id, KmsMasterKeyId: Resource } },
  [`${id}Policy`]: {
    Type: 'AWS::SNS::TopicPolicy',
    Properties: {
      Topics: [{ Ref: id }],
      PolicyDocument: { Statement: [letIn(['sns:Publish'], { Ref: id })] },
    },
  },
});
const key = (Statement: unknown[]) => ({
  Type: 'AWS::KMS::Key',
  Properties: { KeyPolicy: { Statement } },
});
const resources = {
  Key: key([letIn(['kms:Decrypt', 'kms:GenerateDataKey'], '*')]),
  ClosedKey: key([]),
  ...topic('pages', { 'Fn::GetAtt': ['Key', 'Arn'] }),
  ...topic('closed', { 'Fn::GetAtt': ['ClosedKey', 'Arn'] }),
  Changes: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'changes' } },
  ChangesPolicy: {
    Type: 'AWS::SQS::QueuePolicy',
    Properties: {
      Queues: [{ Ref: 'Changes' }],
      PolicyDocument: {
        Statement: [
          {
            Effect: 'Allow',
            Principal: { Service: 'events.amazonaws.com' },
            Action: 'sqs:SendMessage',
            Resource: { 'Fn::GetAtt': ['Changes', 'Arn'] },
          },
        ],
      },
    },
  },
  Rule: {
    Type: 'AWS::Events::Rule',
    Properties: {
      EventPattern: {
        source: ['aws.cloudwatch'],
        'detail-type': ['CloudWatch Alarm State Change'],
        detail: { alarmName: [{ prefix: 'mine/' }] },
      },
      Targets: [{ Id: 'queue', Arn: { 'Fn::GetAtt': ['Changes', 'Arn'] } }],
    },
  },
};

let small: SmallCloud;
let client: CloudWatchClient;
beforeAll(async () => {
  small = await startSmallCloud(4793, {}, resources);
  const { url: endpoint, region, credentials } = small.cloud;
  client = new CloudWatchClient({ endpoint, region, credentials });
  // A period of a minute passes in a second.
  small.cloud.alarms.speed = 60;
});
afterAll(async () => {
  client?.destroy();
  await small?.stop();
});

const put = (value: number) =>
  client.send(
    new PutMetricDataCommand({
      Namespace: 'Mine',
      MetricData: [{ MetricName: 'M', Dimensions: [{ Name: 'Of', Value: 'x' }], Value: value }],
    }),
  );
const metricAlarm = (AlarmName: string, Threshold: number, more = {}) =>
  client.send(
    new PutMetricAlarmCommand({
      AlarmName,
      Namespace: 'Mine',
      MetricName: 'M',
      Dimensions: [{ Name: 'Of', Value: 'x' }],
      Statistic: 'Maximum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold,
      ComparisonOperator: 'GreaterThanThreshold',
      TreatMissingData: 'ignore',
      ...more,
    }),
  );
const arnOf = (name: string) => `arn:aws:sns:us-east-1:${account}:${name}`;
const stateOf = async (AlarmName: string) => {
  const found = await client.send(
    new DescribeAlarmsCommand({ AlarmNames: [AlarmName], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
  );
  return [...found.MetricAlarms!, ...found.CompositeAlarms!][0]?.StateValue;
};
const becomes = (name: string, state: string) =>
  until(`${name} to be ${state}`, async () => (await stateOf(name)) === state, { deadlineMs: 20_000 });
const pagesOf = (name: string, state: string) =>
  small.cloud.pages.pages().filter(({ subject }) => subject === `${state}: "${name}"`);

describe('CloudWatch', () => {
  test('gives back what was put, by period', async () => {
    await put(3);
    await put(4);
    const end = new Date();
    const { MetricDataResults } = await client.send(
      new GetMetricDataCommand({
        StartTime: new Date(end.getTime() - 3_600_000),
        EndTime: new Date(end.getTime() + 60_000),
        MetricDataQueries: [
          {
            Id: 'm',
            MetricStat: {
              Metric: { Namespace: 'Mine', MetricName: 'M', Dimensions: [{ Name: 'Of', Value: 'x' }] },
              Period: 300,
              Stat: 'Maximum',
            },
          },
        ],
      }),
    );
    const [result] = MetricDataResults!;
    expect(Math.max(...result!.Values!)).toBe(4);
    expect(result!.Timestamps![0]).toBeInstanceOf(Date);
  });

  test('one fault that two alarms see pages once, and its end is told once', async () => {
    await metricAlarm('mine/a', 5);
    await metricAlarm('mine/b', 7);
    await client.send(
      new PutCompositeAlarmCommand({
        AlarmName: 'mine/page',
        AlarmRule: 'ALARM("mine/a") OR ALARM("mine/b")',
        AlarmActions: [arnOf('pages')],
        OKActions: [arnOf('pages')],
      }),
    );
    await put(1);
    // Each of them: one that has seen nothing yet would come to ALARM from nowhere.
    for (const name of ['mine/a', 'mine/b', 'mine/page']) await becomes(name, 'OK');
    await put(9);
    await becomes('mine/a', 'ALARM');
    await becomes('mine/b', 'ALARM');
    await becomes('mine/page', 'ALARM');
    await put(1);
    for (const name of ['mine/a', 'mine/b', 'mine/page']) await becomes(name, 'OK');
    expect(pagesOf('mine/page', 'ALARM')).toHaveLength(1);
    expect(JSON.parse(pagesOf('mine/page', 'ALARM')[0]!.message)).toMatchObject({ NewStateValue: 'ALARM' });
  });

  test('each change of an alarm is an event on the bus', async () => {
    const { url: endpoint, region, credentials, registry } = small.cloud;
    const sqs = new SQSClient({ endpoint, region, credentials });
    const QueueUrl = registry.resourcesOfType('AWS::SQS::Queue')[0]!.ref;
    const told: string[] = [];
    await until('the changes of the alarms to be told', async () => {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }),
      );
      for (const { Body } of Messages) {
        const { detail, resources: of } = JSON.parse(Body!);
        expect(of).toEqual([`arn:aws:cloudwatch:us-east-1:${account}:alarm:${detail.alarmName}`]);
        told.push(`${detail.alarmName} ${detail.previousState.value} ${detail.state.value}`);
      }
      return ['mine/a', 'mine/b', 'mine/page'].every(
        (name) => told.includes(`${name} OK ALARM`) && told.includes(`${name} ALARM OK`),
      );
    });
    sqs.destroy();
  });

  test('a page that the key of its topic does not let through is lost', async () => {
    await metricAlarm('mine/closed', 5, { AlarmActions: [arnOf('closed')] });
    await put(9);
    await becomes('mine/closed', 'ALARM');
    expect(pagesOf('mine/closed', 'ALARM')).toHaveLength(0);
  });

  test('a composite of alarms that do not exist is refused, and two composites are not deleted at once', async () => {
    const composite = (AlarmName: string, AlarmRule: string) =>
      client.send(new PutCompositeAlarmCommand({ AlarmName, AlarmRule }));
    await expect(composite('mine/other', 'ALARM("nobody")')).rejects.toThrow('nobody');
    await composite('mine/other', 'ALARM("mine/a")');
    const both = new DeleteAlarmsCommand({ AlarmNames: ['mine/page', 'mine/other'] });
    await expect(client.send(both)).rejects.toThrow('At most one composite');
    await client.send(new DeleteAlarmsCommand({ AlarmNames: ['mine/other'] }));
    await expect(
      client.send(new DeleteAlarmsCommand({ AlarmNames: ['mine/a', 'nobody'] })),
    ).rejects.toThrow();
    expect(await stateOf('mine/a')).toBeDefined();
  });
});
