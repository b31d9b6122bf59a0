import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { lambda, permission, type SmallCloud, startSmallCloud, until } from './support/small-cloud.ts';

const port = 4724;
/** Says what it got by calls that the recorder sees: one DescribeTasks a record, its task being the message's body. */
const looker = `
const sign = async (body) => {
  const { ECSClient, DescribeTasksCommand } = await import(${JSON.stringify(import.meta.resolve('@aws-sdk/client-ecs'))});
  try { await new ECSClient({ maxAttempts: 1 }).send(new DescribeTasksCommand({ cluster: 'c', tasks: [body] })); } catch (error) { console.log(error.name + ': ' + error.message); }
};
export const handler = async (event) => {
  const failures = [];
  for (const record of event.Records ?? [{ messageId: 'none', body: JSON.stringify(event) }]) {
    console.log('got ' + record.body + ' receive ' + record.attributes?.ApproximateReceiveCount);
    await sign(record.body);
    if (record.body === 'fail' && record.attributes.ApproximateReceiveCount === '1') failures.push({ itemIdentifier: record.messageId });
  }
  return { batchItemFailures: failures };
};`;

const getAtt = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });
const queue = { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeout: 5 } };
const receive = (Resource: unknown) => ({
  Effect: 'Allow',
  Action: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
  Resource,
});
const mapping = (FunctionName: unknown) => ({
  Type: 'AWS::Lambda::EventSourceMapping',
  Properties: {
    EventSourceArn: getAtt('Queue'),
    FunctionName,
    BatchSize: 1,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  },
});
const rule = (properties: object, Arn: unknown) => ({
  Type: 'AWS::Events::Rule',
  Properties: { ...properties, State: 'ENABLED', Targets: [{ Id: 't', Arn }] },
});
let small: SmallCloud;

beforeAll(async () => {
  small = await startSmallCloud(
    port,
    { looker, direct: looker },
    {
      Queue: queue,
      Locked: queue,
      ...lambda('Looker', { Timeout: 5 }, [receive(getAtt('Queue'))]),
      ...lambda('Direct', { Timeout: 5 }),
      Mapping: mapping(getAtt('Looker')),
      ToQueue: rule({ EventPattern: { source: ['test.queue'] } }, getAtt('Queue')),
      ToLocked: rule({ EventPattern: { source: ['test.locked'] } }, getAtt('Locked')),
      ToFunction: rule({ EventPattern: { source: ['test.function'] } }, getAtt('Direct')),
      DirectPermission: permission('Direct', 'events', getAtt('ToFunction')),
      EveryMinute: rule({ ScheduleExpression: 'rate(1 minute)' }, getAtt('Direct')),
      EveryMinutePermission: permission('Direct', 'events', getAtt('EveryMinute')),
      Policy: {
        Type: 'AWS::SQS::QueuePolicy',
        Properties: {
          Queues: [{ Ref: 'Queue' }],
          PolicyDocument: {
            Statement: [
              {
                Effect: 'Allow',
                Principal: { Service: 'events.amazonaws.com' },
                Action: 'sqs:SendMessage',
                Resource: getAtt('Queue'),
                Condition: { ArnEquals: { 'aws:SourceArn': getAtt('ToQueue') } },
              },
            ],
          },
        },
      },
    },
  );
});
afterAll(() => small?.stop());
afterEach(() => small.cloud.faults.clear());

async function send(body: string): Promise<void> {
  const { url, region, credentials, registry } = small.cloud;
  const QueueUrl = registry
    .resourcesOfType('AWS::SQS::Queue')
    .find(({ logicalId }) => logicalId === 'Queue')?.ref;
  await new SQSClient({ endpoint: url, region, credentials }).send(
    new SendMessageCommand({ QueueUrl, MessageBody: body }),
  );
}
const callsSince = (since: number, name = 'Looker') => small.cloud.faults.calls({ function: name, since });
const now = () => small.cloud.faults.calls().at(-1)?.seq ?? 0;
const settled = (since: number, count: number) =>
  until(`${count} calls`, () => {
    const calls = callsSince(since).filter(({ outcome }) => outcome !== 'running');
    return calls.length >= count && calls;
  });

describe('queue to function', () => {
  it('calls are recorded with function and invocation, and denied by IAM with the real error', async () => {
    const since = now();
    await send('hello');
    const [call] = await settled(since, 1);
    expect(call).toMatchObject({
      function: expect.stringMatching(/^app-Looker-/),
      invocation: expect.stringMatching(/^[0-9a-f-]{36}$/),
      service: 'ecs',
      operation: 'DescribeTasks',
      outcome: 'AccessDeniedException',
    });
  });

  it('messages reported as failed come back, the others do not', async () => {
    small.cloud.faults.messages = { duplicate: false, delaySeconds: 0, retryAfterSeconds: 0 };
    const since = now();
    await send('fail');
    expect(await settled(since, 2)).toHaveLength(2);
  });

  it('a crash before or after a call ends the worker; the message comes back and a new worker takes it', async () => {
    for (const type of ['crash-before', 'crash-after'] as const) {
      small.cloud.faults.clear();
      small.cloud.faults.messages = { duplicate: false, delaySeconds: 0, retryAfterSeconds: 0 };
      small.cloud.faults.add({
        match: { function: 'looker', operation: 'DescribeTasks', nth: 1 },
        action: { type },
      });
      const since = now();
      await send(type);
      const [first, second] = await settled(since, 2);
      expect(first).toMatchObject({
        fault: type,
        outcome: 'crashed',
      });
      expect(second).toMatchObject({ outcome: 'AccessDeniedException' });
    }
  });

  it('doubled and delayed messages arrive doubled and delayed', async () => {
    small.cloud.faults.messages = { duplicate: true, delaySeconds: 1 };
    const since = now();
    const sent = Date.now();
    await send('twice');
    await settled(since, 2);
    expect(Date.now() - sent).toBeGreaterThanOrEqual(1000);
  });
});

describe('rules', () => {
  const emit = (source: string) =>
    small.cloud.emit({ source, 'detail-type': 'Test', detail: { a: 1 }, resources: [] });

  it('deliver to a queue whose policy lets the rule in, and to a function with permission', async () => {
    const since = now();
    emit('test.queue');
    emit('test.function');
    emit('test.other');
    await settled(since, 1);
    await until('the function', () => callsSince(since, 'Direct').length > 0);
  });

  it('do not deliver to a queue whose policy does not', async () => {
    emit('test.locked');
    const denied = await until('the refusal', () => {
      return /event not delivered.*sqs:SendMessage.*no resource-based policy/.exec(
        readFileSync(`${small.stateDir}/logs/cloud.log`, 'utf8'),
      );
    });
    expect(denied?.[0]).toContain('Locked');
  });
});

describe('faults by the admin path', () => {
  const post = (path: string, body: unknown, headers = {}) =>
    fetch(`${small.cloud.url}/_local/${path}`, { method: 'POST', body: JSON.stringify(body), headers });

  it('deny and throttle with the errors of the service', async () => {
    for (const [type, code] of [
      ['throttle', 'ThrottlingException'],
      ['deny', 'AccessDeniedException'],
    ]) {
      await fetch(`${small.cloud.url}/_local/faults`, { method: 'DELETE' });
      expect((await post('faults', { match: { service: 'ecs' }, action: { type } })).status).toBe(200);
      const since = now();
      await send('x');
      const calls = await settled(since, 1);
      expect(calls[0]).toMatchObject({ outcome: code, fault: type });
    }
  });

  it('say what is wrong with a rule, and answer only to this machine’s own name', async () => {
    const bad = await post('faults', { match: { verb: 'x' }, action: { type: 'explode' } });
    expect(bad.status).toBe(400);
    expect(((await bad.json()) as { message: string }).message).toContain('verb');
    expect((await fetch(`${small.cloud.url}/_local/nothing`)).status).toBe(404);
    const status = await (await fetch(`${small.cloud.url}/_local/status`)).json();
    expect(status).toMatchObject({ url: small.cloud.url, pid: process.pid });
    const code = await new Promise((resolve) =>
      request(`${small.cloud.url}/_local/status`, { headers: { host: 'evil.example' } }, (answer) =>
        resolve(answer.statusCode),
      ).end(),
    );
    expect(code).toBe(403);
  });
});

describe('what Lambda refuses when a mapping is created', () => {
  const start = (resources: object) => startSmallCloud(4725, { looker }, { Queue: queue, ...resources });

  it('a role that may not receive', async () => {
    await expect(
      start({ ...lambda('Looker', { Timeout: 5 }), Mapping: mapping(getAtt('Looker')) }),
    ).rejects.toThrow(/has no permission to call ReceiveMessage/);
  });

  it('a queue whose messages come back before the function has ended', async () => {
    const slow = lambda('Looker', { Timeout: 6 }, [receive(getAtt('Queue'))]);
    await expect(start({ ...slow, Mapping: mapping(getAtt('Looker')) })).rejects.toThrow(
      /visibility timeout of .* \(5 s\) is less than the timeout .* \(6 s\)/,
    );
  });
});

describe('what somebody has turned off', () => {
  it('a function whose messages are held gets them when they are let go, not before', async () => {
    await small.cloud.hurt.act({ do: 'hold-messages', function: 'Looker' });
    const since = now();
    await send('patient');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(callsSince(since)).toEqual([]);
    await small.cloud.hurt.act({ do: 'heal' });
    await settled(since, 1);
  });

  it('a silent rule tells nobody of what happens meanwhile', async () => {
    const event = (detail: string) =>
      small.cloud.emit({ source: 'test.function', 'detail-type': 't', resources: [], detail });
    const since = now();
    await small.cloud.hurt.act({ do: 'silence', rule: 'ToFunction' });
    event('unheard');
    await small.cloud.hurt.act({ do: 'heal' });
    event('heard');
    await until('the event', () => callsSince(since, 'Direct').length > 0);
    expect(callsSince(since, 'Direct')).toHaveLength(1);
  });

  it('a schedule comes as often as its rate says, in the time of AWS', async () => {
    const since = now();
    small.cloud.alarms.speed = 60;
    await until('two rounds', () => callsSince(since, 'Direct').length >= 2);
    small.cloud.alarms.speed = 1;
  });
});
