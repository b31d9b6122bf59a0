import { SQSClient } from '@aws-sdk/client-sqs';
import type { TestCloud } from './cloud.ts';

/** Uses the first queue of the deployment whose address is like `pattern`. @throws Error when there is none */
export async function onQueue<T>(
  { cloud }: TestCloud,
  pattern: RegExp,
  use: (sqs: SQSClient, queueUrl: string) => Promise<T>,
): Promise<T> {
  const { url: endpoint, region, credentials, registry } = cloud;
  const urls = registry.resourcesOfType('AWS::SQS::Queue').map(({ ref }) => ref);
  const found = urls.find((url) => pattern.test(url));
  if (found === undefined) throw new Error(`There is no queue like ${pattern} among ${urls.join(', ')}.`);
  const sqs = new SQSClient({ endpoint, region, credentials });
  return use(sqs, found).finally(() => sqs.destroy());
}
