import { GetQueueAttributesCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import type { TestCloud } from './cloud.ts';
import { onQueue } from './queue.ts';

/** Not that of its dead letters. */
const ofSweep = /^(?!.*dead).*sweep/i;

/** What anything may do at any time: a look at the tenant now, instead of with the next round of the sweep. */
export const look = (cloud: TestCloud, tenantId: string): Promise<void> =>
  onQueue(cloud, ofSweep, async (sqs, QueueUrl) => {
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ tenantId }) }));
  });

/** Looks that nobody has begun yet. */
export const looksWaiting = (cloud: TestCloud): Promise<number> =>
  onQueue(cloud, ofSweep, async (sqs, QueueUrl) => {
    const AttributeNames = ['ApproximateNumberOfMessages' as const];
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
    return Number(Attributes?.ApproximateNumberOfMessages);
  });
