import { expect, test } from 'vitest';
import { serveLooks } from '../../lambdas/core/looks.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const batch = (...bodies: unknown[]) => ({
  Records: bodies.map((body, index) => ({
    messageId: `m${index}`,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })),
});

async function served(...bodies: unknown[]) {
  const looked: string[] = [];
  const answer = await serveLooks(batch(...bodies), log, async (tenantId) => {
    looked.push(tenantId);
    if (tenantId === 'broken') throw new Error('no');
  });
  return { looked, failed: answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier) };
}

const taskEvent = (lastStatus: string, startedBy: string) => ({
  'detail-type': 'ECS Task State Change',
  source: 'aws.ecs',
  detail: { lastStatus, startedBy, taskArn: 'arn:aws:ecs:us-east-1:0:task/c/1' },
});

test('each tenant of a batch is looked at once, however many messages name it', async () => {
  expect(await served({ tenantId: 'acme' }, { tenantId: 'acme' }, { tenantId: 'other' })).toEqual({
    looked: ['acme', 'other'],
    failed: [],
  });
});

test('only the messages of a look that failed come again', async () => {
  expect(await served({ tenantId: 'acme' }, { tenantId: 'broken' }, { tenantId: 'broken' })).toEqual({
    looked: ['acme', 'broken'],
    failed: ['m1', 'm2'],
  });
});

test('messages that say nothing we know are acknowledged, never tried again', async () => {
  const poison = ['not json', 'null', '7', {}, { tenantId: 'NO' }, { tenantId: ['acme'] }];
  expect(await served(...poison)).toEqual({ looked: [], failed: [] });
});

test('the end of a task makes a look at its tenant; its coming up and foreign tasks do not', async () => {
  expect(
    await served(
      taskEvent('STOPPED', 'etcd-nanny/acme'),
      taskEvent('RUNNING', 'etcd-nanny/other'),
      taskEvent('STOPPED', 'ecs-svc/123'),
    ),
  ).toEqual({ looked: ['acme'], failed: [] });
});

const alarmEvent = (alarmName: string) => ({
  'detail-type': 'CloudWatch Alarm State Change',
  source: 'aws.cloudwatch',
  detail: { alarmName, state: { value: 'ALARM' } },
});

test("an alarm of a tenant that changes makes a look at it; others' alarms do not", async () => {
  expect(
    await served(
      alarmEvent('etcd-nanny/acme/not-writable'),
      alarmEvent('etcd-nanny/'),
      alarmEvent('billing'),
    ),
  ).toEqual({ looked: ['acme'], failed: [] });
});
