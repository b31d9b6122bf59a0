import { createHash } from 'node:crypto';
import * as z from 'zod';
import { type Authorization, AwsError, type Caller, type JsonService } from '../../aws/service.ts';
import type { Queue } from './queue.ts';
import { type Queues, systemAttributes } from './queues.ts';

const seconds = (max: number) => z.int().min(0).max(max);
const onQueue = { QueueUrl: z.string() };
const attributeNames = {
  AttributeNames: z.array(z.string()).optional(),
  MessageSystemAttributeNames: z.array(z.string()).optional(),
  MessageAttributeNames: z.array(z.string()).optional(),
};
const sending = { MessageBody: z.string().min(1), DelaySeconds: seconds(900).optional() };
const handle = { ReceiptHandle: z.string() };
const visibility = { VisibilityTimeout: seconds(43_200) };
const entry = { Id: z.string().regex(/^[\w-]{1,80}$/) };

/** What of a request is understood; anything else is refused instead of ignored. */
const requests = {
  SendMessage: z.strictObject({ ...onQueue, ...sending }),
  SendMessageBatch: z.strictObject({
    ...onQueue,
    Entries: entries(z.strictObject({ ...entry, ...sending })),
  }),
  ReceiveMessage: z.strictObject({
    ...onQueue,
    ...attributeNames,
    MaxNumberOfMessages: z.int().min(1).max(10).optional(),
    WaitTimeSeconds: seconds(20).optional(),
    VisibilityTimeout: seconds(43_200).optional(),
  }),
  DeleteMessage: z.strictObject({ ...onQueue, ...handle }),
  DeleteMessageBatch: z.strictObject({
    ...onQueue,
    Entries: entries(z.strictObject({ ...entry, ...handle })),
  }),
  ChangeMessageVisibility: z.strictObject({ ...onQueue, ...handle, ...visibility }),
  ChangeMessageVisibilityBatch: z.strictObject({
    ...onQueue,
    Entries: entries(z.strictObject({ ...entry, ...handle, ...visibility })),
  }),
  GetQueueAttributes: z.strictObject({ ...onQueue, AttributeNames: z.array(z.string()).optional() }),
  GetQueueUrl: z.strictObject({ QueueName: z.string(), QueueOwnerAWSAccountId: z.string().optional() }),
  PurgeQueue: z.strictObject(onQueue),
};
type Requests = { [Name in keyof typeof requests]: z.infer<(typeof requests)[Name]> };
type Handlers = {
  [Name in keyof Requests]: (queue: Queue, input: Requests[Name], caller: Caller) => unknown;
};

/** Batches are authorised as their single action; so does AWS. */
const actionOf = (operation: string): string => `sqs:${operation.replace(/Batch$/, '')}`;

export function sqsService(queues: Queues): JsonService {
  const send = (queue: Queue, input: { MessageBody: string; DelaySeconds?: number }, caller: Caller) => {
    if (Buffer.byteLength(input.MessageBody) > queue.settings.maximumMessageSize) {
      throw new AwsError(
        'InvalidParameterValue',
        `One or more parameters are invalid. Reason: Message must be shorter than ${queue.settings.maximumMessageSize} bytes.`,
      );
    }
    const { id } = queues.send(queue, input.MessageBody, caller.principalArn, input.DelaySeconds);
    return { MessageId: id, MD5OfMessageBody: md5(input.MessageBody) };
  };
  const handlers: Handlers = {
    SendMessage: send,
    SendMessageBatch: (queue, { Entries }, caller) => batch(Entries, (one) => send(queue, one, caller)),
    async ReceiveMessage(queue, input) {
      const waitSeconds = input.WaitTimeSeconds ?? queue.settings.receiveWaitSeconds;
      const found = await queue.receive(
        input.MaxNumberOfMessages ?? 1,
        waitSeconds * 1000,
        input.VisibilityTimeout,
      );
      const names = [...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])];
      const Messages = found.map((message) => ({
        MessageId: message.id,
        ReceiptHandle: message.receiptHandle,
        Body: message.body,
        MD5OfBody: md5(message.body),
        Attributes: pick(systemAttributes(message), names),
      }));
      return Messages.length > 0 ? { Messages } : {};
    },
    DeleteMessage(queue, input) {
      queue.delete(input.ReceiptHandle);
      return {};
    },
    DeleteMessageBatch: (queue, { Entries }) =>
      batch(Entries, (one) => {
        queue.delete(one.ReceiptHandle);
        return {};
      }),
    ChangeMessageVisibility(queue, input) {
      queue.changeVisibility(input.ReceiptHandle, input.VisibilityTimeout);
      return {};
    },
    ChangeMessageVisibilityBatch: (queue, { Entries }) =>
      batch(Entries, (one) => {
        queue.changeVisibility(one.ReceiptHandle, one.VisibilityTimeout);
        return {};
      }),
    GetQueueAttributes: (queue, input) => ({
      Attributes: pick(queueAttributes(queue), input.AttributeNames ?? []),
    }),
    GetQueueUrl: (queue) => ({ QueueUrl: queue.settings.url }),
    PurgeQueue(queue) {
      queue.purge();
      return {};
    },
  };
  const operation = <Name extends keyof Requests>(name: Name) => {
    const read = (raw: unknown) => parse(requests[name], name, raw) as Requests[Name];
    return {
      authorize: (raw: unknown): Authorization[] => [
        { action: actionOf(name), resource: queues.arn(nameOf(read(raw))) },
      ],
      run: async (raw: unknown, caller: Caller) => {
        const input = read(raw);
        return await handlers[name](queues.byName(nameOf(input)), input, caller);
      },
    };
  };
  const names = Object.keys(requests) as (keyof Requests)[];
  return {
    kind: 'json',
    name: 'sqs',
    targetPrefix: 'AmazonSQS',
    jsonVersion: '1.0',
    operations: Object.fromEntries(names.map((name) => [name, operation(name)])),
  };
}

function entries<S extends z.ZodType<{ Id: string }>>(one: S) {
  return z
    .array(one)
    .min(1)
    .max(10)
    .refine((all) => new Set(all.map(({ Id }) => Id)).size === all.length, 'two entries have the same Id');
}

function nameOf(input: { QueueUrl: string } | { QueueName: string }): string {
  return 'QueueName' in input ? input.QueueName : (input.QueueUrl.split('/').pop() ?? '');
}

function parse(schema: z.ZodType, operation: string, raw: unknown): unknown {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new AwsError('InvalidParameterValue', `${operation}: ${problems.join('; ')}`);
}

function batch<E extends { Id: string }>(all: E[], run: (one: E) => Record<string, unknown>) {
  const Successful: Record<string, unknown>[] = [];
  const Failed: Record<string, unknown>[] = [];
  for (const one of all) {
    try {
      Successful.push({ Id: one.Id, ...run(one) });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      Failed.push({ Id: one.Id, Code: error.code, Message: error.message, SenderFault: true });
    }
  }
  return { Successful, ...(Failed.length > 0 ? { Failed } : {}) };
}

function queueAttributes(queue: Queue): Record<string, string> {
  const { settings } = queue;
  const { visible, inFlight, delayed } = queue.counts();
  return {
    QueueArn: settings.arn,
    ApproximateNumberOfMessages: String(visible),
    ApproximateNumberOfMessagesNotVisible: String(inFlight),
    ApproximateNumberOfMessagesDelayed: String(delayed),
    VisibilityTimeout: String(settings.visibilityTimeoutSeconds),
    DelaySeconds: String(settings.delaySeconds),
    MessageRetentionPeriod: String(settings.retentionSeconds),
    ReceiveMessageWaitTimeSeconds: String(settings.receiveWaitSeconds),
    MaximumMessageSize: String(settings.maximumMessageSize),
    ...(settings.redrive === undefined ? {} : { RedrivePolicy: JSON.stringify(settings.redrive) }),
  };
}

function pick(all: Record<string, string>, names: readonly string[]): Record<string, string> {
  if (names.includes('All')) return all;
  return Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
