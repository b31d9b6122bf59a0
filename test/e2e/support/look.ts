import { GetQueueAttributesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { TestCloud } from './cloud.ts';

/** What anything may do at any time: a look at the tenant now, instead of with the next round of the sweep. */
export const look = ({ cloud }: TestCloud, tenantId: string): Promise<void> =>
  ofSweep(cloud, async (sqs, QueueUrl) => {
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ tenantId }) }));
  });

/** Looks that nobody has begun yet. */
export const looksWaiting = ({ cloud }: TestCloud): Promise<number> =>
  ofSweep(cloud, async (sqs, QueueUrl) => {
    const AttributeNames = ['ApproximateNumberOfMessages' as const];
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
    return Number(Attributes?.ApproximateNumberOfMessages);
  });

async function ofSweep<T>(
  { url: endpoint, region, credentials, registry }: TestCloud['cloud'],
  use: (sqs: SQSClient, queueUrl: string) => Promise<T>,
): Promise<T> {
  const queue = registry
    .resourcesOfType('AWS::SQS::Queue')
    .map(({ ref }) => ref)
    .find((ref) => /sweep/i.test(ref) && !/dead/i.test(ref));
  if (queue === undefined) throw new Error('There is no queue of the sweep.');
  const sqs = new SQSClient({ endpoint, region, credentials });
  return use(sqs, queue).finally(() => sqs.destroy());
}
