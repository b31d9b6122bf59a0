import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { TestCloud } from './cloud.ts';

/** What anything may do at any time: a look at the tenant now, instead of with the next round of the sweep. */
export async function look({ cloud }: TestCloud, tenantId: string): Promise<void> {
  const queue = cloud.registry
    .resourcesOfType('AWS::SQS::Queue')
    .map(({ ref }) => ref)
    .find((ref) => /sweep/i.test(ref) && !/dead/i.test(ref));
  if (queue === undefined) throw new Error('There is no queue of the sweep.');
  const sqs = new SQSClient({ endpoint: cloud.url, region: cloud.region, credentials: cloud.credentials });
  await sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: JSON.stringify({ tenantId }) }));
  sqs.destroy();
}
