import { appendFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  PurgeQueueCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createModule } from '../../../local/services/sqs/index.ts';
import { startCloud, type TestCloud } from './cloud.ts';

describe('SQS', () => {
  let cloud: TestCloud;
  let client: SQSClient;
  let QueueUrl: string;
  let deadUrl: string;
  let queueArn: string;

  async function start(stateDir?: string): Promise<void> {
    cloud = await startCloud(createModule, { stateDir });
    client = new SQSClient(cloud.client);
    const dead = await cloud.provision('AWS::SQS::Queue', 'Dead', {});
    const queue = await cloud.provision('AWS::SQS::Queue', 'Work', {
      VisibilityTimeout: 1,
      RedrivePolicy: { deadLetterTargetArn: dead.attributes!.Arn, maxReceiveCount: 2 },
    });
    deadUrl = dead.ref;
    QueueUrl = queue.ref;
    queueArn = queue.attributes!.Arn!;
  }
  beforeEach(() => start());
  afterEach(() => cloud.stop());

  const send = (MessageBody: string, DelaySeconds?: number) =>
    client.send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds }));
  const receive = async (over = {}) =>
    (
      await client.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: 10,
          MessageSystemAttributeNames: ['All'],
          ...over,
        }),
      )
    ).Messages ?? [];
  const counts = async (url = QueueUrl) => {
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
    );
    return [
      Attributes?.ApproximateNumberOfMessages,
      Attributes?.ApproximateNumberOfMessagesNotVisible,
      Attributes?.ApproximateNumberOfMessagesDelayed,
    ].map(Number);
  };

  it('hides a message that is worked on, and shows it again when the work takes too long', async () => {
    await send('one');
    const [first] = await receive();
    expect(first?.Body).toBe('one');
    expect(first?.Attributes?.ApproximateReceiveCount).toBe('1');
    expect(await receive()).toEqual([]);
    expect(await counts()).toEqual([0, 1, 0]);
    const [again] = await receive({ WaitTimeSeconds: 5 });
    expect(again?.MessageId).toBe(first?.MessageId);
    expect(again?.Attributes?.ApproximateReceiveCount).toBe('2');
    // The handle of the first receive is old: it must not take the work away from the second.
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first!.ReceiptHandle }));
    expect(await counts()).toEqual([0, 1, 0]);
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: again!.ReceiptHandle }));
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it('wakes a long poll as soon as a message comes', async () => {
    const waiting = receive({ WaitTimeSeconds: 20 });
    const started = Date.now();
    await send('hello');
    expect((await waiting).map(({ Body }) => Body)).toEqual(['hello']);
    expect(Date.now() - started).toBeLessThan(5_000);
  });

  it('holds a delayed message back', async () => {
    await send('later', 1);
    expect(await counts()).toEqual([0, 0, 1]);
    expect(await receive()).toEqual([]);
    expect(await receive({ WaitTimeSeconds: 5 })).toHaveLength(1);
  });

  it('moves a message that was received too often to the dead-letter queue', async () => {
    await send('poison');
    for (let n = 0; n < 2; n++) {
      const [message] = await receive({ WaitTimeSeconds: 5 });
      const ReceiptHandle = message!.ReceiptHandle;
      await client.send(
        new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }),
      );
    }
    expect(await receive()).toEqual([]);
    const [dead] = await receive({ QueueUrl: deadUrl });
    expect(dead?.Body).toBe('poison');
    expect(dead?.Attributes?.DeadLetterQueueSourceArn).toBe(queueArn);
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it('sends, receives and deletes in batches', async () => {
    const Entries = ['a', 'b', 'c'].map((MessageBody) => ({ Id: MessageBody, MessageBody }));
    const sent = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    expect(sent.Successful).toHaveLength(3);
    const messages = await receive();
    expect(messages.map(({ Body }) => Body).sort()).toEqual(['a', 'b', 'c']);
    const gone = await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: [
          ...messages.map(({ ReceiptHandle }, n) => ({ Id: `d${n}`, ReceiptHandle })),
          { Id: 'bad', ReceiptHandle: 'nonsense' },
        ],
      }),
    );
    expect(gone.Successful).toHaveLength(3);
    expect(gone.Failed).toMatchObject([{ Id: 'bad', Code: 'ReceiptHandleIsInvalid' }]);
  });

  it('doubles and delays messages when the fault rules say so', async () => {
    cloud.module.queues!.hurtWith!(() => ({ duplicate: true, delaySeconds: 1 }));
    await send('hurt');
    await cloud.module.queues!.put(queueArn, 'from a rule');
    expect(await counts()).toEqual([0, 0, 4]);
    cloud.module.queues!.hurtWith!(() => ({ duplicate: true, delaySeconds: 0 }));
    await send('doubled');
    expect((await receive()).map(({ Body }) => Body)).toEqual(['doubled', 'doubled']);
  });

  it('keeps its messages over a restart, even one cut off while it wrote', async () => {
    await send('kept');
    await send('in work');
    const messages = await receive();
    const done = messages.find(({ Body }) => Body === 'kept');
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: done!.ReceiptHandle }));
    await send('delayed', 600);
    await cloud.stop({ keepState: true });
    const folder = path.join(cloud.stateDir, 'sqs');
    const journal = readdirSync(folder).find((name) => name.includes('Work'))!;
    appendFileSync(path.join(folder, journal), '{"put":{"id":"half a li');
    await start(cloud.stateDir);
    expect(await counts()).toEqual([1, 0, 1]);
    expect((await receive()).map(({ Body }) => Body)).toEqual(['in work']);
  });

  it('forgets a message after its retention time', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      await send('old');
      vi.setSystemTime(Date.now() + 5 * 24 * 3600 * 1000);
      expect(await receive()).toEqual([]);
      expect(await counts()).toEqual([0, 0, 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('ends a long poll when the cloud stops', async () => {
    const waiting = cloud.module.queues!.receive(queueArn, 10, 60_000);
    await cloud.module.stop!();
    expect(await waiting).toEqual([]);
  });

  it('refuses what it does not understand, and unknown queues, by name', async () => {
    const unknown = client.send(new SendMessageCommand({ QueueUrl: `${QueueUrl}-not`, MessageBody: 'x' }));
    await expect(unknown).rejects.toBeInstanceOf(QueueDoesNotExist);
    const attributes = { note: { DataType: 'String', StringValue: 'x' } };
    const withAttributes = new SendMessageCommand({
      QueueUrl,
      MessageBody: 'x',
      MessageAttributes: attributes,
    });
    await expect(client.send(withAttributes)).rejects.toThrow('MessageAttributes');
    await expect(send('x', 901)).rejects.toThrow('DelaySeconds');
    const wait = receive({ WaitTimeSeconds: 21 });
    await expect(wait).rejects.toThrow('WaitTimeSeconds');
  });

  it('finds a queue by its name and empties it', async () => {
    const QueueName = QueueUrl.split('/').pop()!;
    expect((await client.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl).toBe(QueueUrl);
    await send('gone');
    await client.send(new PurgeQueueCommand({ QueueUrl }));
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it('asks IAM for the single action, on the queue', async () => {
    cloud.asked.length = 0;
    const Entries = [{ Id: 'a', MessageBody: 'x' }];
    await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    expect(cloud.asked).toEqual([{ action: 'sqs:SendMessage', resource: queueArn }]);
  });
});
