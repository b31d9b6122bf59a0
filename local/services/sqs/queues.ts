import path from 'node:path';
import { physicalName } from '../../aws/names.ts';
import {
  AwsError,
  type CloudContext,
  type QueueAccess,
  type ResourceProvider,
  type TemplateResource,
} from '../../aws/service.ts';
import { Queue, type QueueSettings, type ReceivedMessage } from './queue.ts';

type MessageFaults = { readonly duplicate: boolean; readonly delaySeconds: number };

/** All queues of the cloud, by name. */
export class Queues implements QueueAccess {
  readonly #queues = new Map<string, Queue>();
  readonly #context: Pick<CloudContext, 'accountId' | 'region' | 'stateDir' | 'endpointUrl'>;
  readonly #now: () => number;
  #faults: () => MessageFaults = () => ({ duplicate: false, delaySeconds: 0 });

  constructor(
    context: Pick<CloudContext, 'accountId' | 'region' | 'stateDir' | 'endpointUrl'>,
    now: () => number = () => Date.now(),
  ) {
    this.#context = context;
    this.#now = now;
  }

  open(settings: QueueSettings): Queue {
    const known = this.#queues.get(settings.name);
    if (known !== undefined) {
      known.settings = settings;
      return known;
    }
    const queue = new Queue(settings, {
      file: path.join(this.#context.stateDir, 'sqs', `${settings.name}.jsonl`),
      now: this.#now,
      bury: (from, message) => {
        const target = this.byArn(from.settings.redrive!.deadLetterTargetArn);
        const { receipt, firstReceivedAt, ...rest } = message;
        target.take({ ...rest, deadFrom: from.settings.arn, receives: 0, visibleAt: this.#now() });
      },
    });
    this.#queues.set(settings.name, queue);
    return queue;
  }

  arn(name: string): string {
    return `arn:aws:sqs:${this.#context.region}:${this.#context.accountId}:${name}`;
  }

  url(name: string): string {
    return `${this.#context.endpointUrl}/${this.#context.accountId}/${name}`;
  }

  byName(name: string): Queue {
    const queue = this.#queues.get(name);
    if (queue !== undefined) return queue;
    throw new AwsError('QueueDoesNotExist', 'The specified queue does not exist.', 400, {
      queryCode: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  }

  byArn(arn: string): Queue {
    return this.byName(arn.split(':').pop() ?? '');
  }

  /** Puts a message, and does to it what the fault rules say. */
  send(queue: Queue, body: string, senderId: string, delaySeconds = queue.settings.delaySeconds) {
    const faults = this.#faults();
    const delay = delaySeconds + faults.delaySeconds;
    if (faults.duplicate) queue.send(body, senderId, delay);
    return queue.send(body, senderId, delay);
  }

  hurtWith(faults: () => MessageFaults): void {
    this.#faults = faults;
  }

  async receive(queueArn: string, max: number, waitMs: number) {
    const messages = await this.byArn(queueArn).receive(max, waitMs);
    return messages.map((message) => ({
      messageId: message.id,
      receiptHandle: message.receiptHandle,
      body: message.body,
      attributes: systemAttributes(message),
    }));
  }

  async delete(queueArn: string, receiptHandles: readonly string[]): Promise<void> {
    for (const receiptHandle of receiptHandles) this.byArn(queueArn).delete(receiptHandle);
  }

  async release(queueArn: string, receiptHandles: readonly string[], seconds: number): Promise<void> {
    for (const receiptHandle of receiptHandles) {
      try {
        this.byArn(queueArn).changeVisibility(receiptHandle, seconds);
      } catch (error) {
        // Visible again already: its batch took longer than the visibility timeout.
        if (!(error instanceof AwsError)) throw error;
      }
    }
  }

  async put(queueArn: string, body: string): Promise<void> {
    this.send(this.byArn(queueArn), body, this.#context.accountId);
  }

  /** What SQS tells CloudWatch of each queue. */
  figures(): { name: string; visible: number; oldestAgeSeconds: number }[] {
    return [...this.#queues.values()].map((queue) => ({
      name: queue.settings.name,
      visible: queue.counts().visible,
      oldestAgeSeconds: queue.oldestAgeSeconds(),
    }));
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }
}

export function systemAttributes(message: ReceivedMessage): Record<string, string> {
  return {
    SenderId: message.senderId,
    SentTimestamp: String(message.sentAt),
    ApproximateReceiveCount: String(message.receives),
    ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
    ...(message.deadFrom === undefined ? {} : { DeadLetterQueueSourceArn: message.deadFrom }),
  };
}

export function queueProvider(queues: Queues): ResourceProvider {
  return {
    types: ['AWS::SQS::Queue'],
    async provision(resource) {
      const { name, arn, url } = queues.open(queueSettings(queues, resource)).settings;
      return { ref: url, attributes: { Arn: arn, QueueName: name, QueueUrl: url } };
    },
  };
}

/** Defaults are those of SQS. */
function queueSettings(queues: Queues, resource: TemplateResource): QueueSettings {
  const { properties } = resource;
  if (properties.FifoQueue === true || properties.FifoQueue === 'true') {
    throw new Error(`The local cloud has no FIFO queues: ${resource.logicalId} is one.`);
  }
  const name = String(properties.QueueName ?? physicalName(resource, 80));
  const seconds = (value: unknown, otherwise: number) => (value === undefined ? otherwise : Number(value));
  const redrive =
    typeof properties.RedrivePolicy === 'string'
      ? JSON.parse(properties.RedrivePolicy)
      : properties.RedrivePolicy;
  return {
    name,
    arn: queues.arn(name),
    url: queues.url(name),
    visibilityTimeoutSeconds: seconds(properties.VisibilityTimeout, 30),
    delaySeconds: seconds(properties.DelaySeconds, 0),
    retentionSeconds: seconds(properties.MessageRetentionPeriod, 4 * 24 * 3600),
    receiveWaitSeconds: seconds(properties.ReceiveMessageWaitTimeSeconds, 0),
    maximumMessageSize: seconds(properties.MaximumMessageSize, 1024 * 1024),
    ...(redrive === undefined
      ? {}
      : {
          redrive: {
            deadLetterTargetArn: String(redrive.deadLetterTargetArn),
            maxReceiveCount: Number(redrive.maxReceiveCount),
          },
        }),
  };
}
