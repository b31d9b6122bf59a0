import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect } from 'vitest';
import type { TestCloud } from './cloud.ts';
import { workingOn } from './processes.ts';
import type { Truth } from './truth.ts';
import { until } from './until.ts';

/** Waits until the tenants that are being deleted have left nothing; also no message has ever been given up. */
export async function everythingGone(cloud: TestCloud, aws: Truth, deadlineMs = 240_000): Promise<void> {
  await until('all tenants to be gone', async () => (await cloud.api.all('/v1/tenants')).length === 0, {
    deadlineMs,
  });
  expect(await aws.tasks('RUNNING')).toEqual([]);
  expect(await aws.services()).toEqual([]);
  await until('all processes to be gone', () => workingOn(cloud.stateDir).length === 0, { deadlineMs });
  expect(readdirSync(join(cloud.stateDir, 'ecs/volumes'))).toEqual([]);
  const left = await until('the queues to be empty', async () => {
    const counts = Object.entries(await messagesIn(cloud));
    return (
      counts.every(([queue, count]) => count === 0 || queue.includes('Dead')) && Object.fromEntries(counts)
    );
  });
  expect(Object.values(left).reduce((sum, count) => sum + count, 0)).toBe(0);
}

/** Messages of each queue, by name: visible, in flight and delayed. */
export async function messagesIn({ cloud }: TestCloud): Promise<Record<string, number>> {
  const sqs = new SQSClient({ endpoint: cloud.url, region: cloud.region, credentials: cloud.credentials });
  const queues = cloud.registry.resourcesOfType('AWS::SQS::Queue');
  const counts = await Promise.all(
    queues.map(async ({ ref }): Promise<[string, number]> => {
      const answer = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl: ref, AttributeNames: ['All'] }),
      );
      const attributes: Partial<Record<string, string>> = answer.Attributes ?? {};
      const of = (state: string) => Number(attributes[`ApproximateNumberOfMessages${state}`] ?? 0);
      return [ref.split('/').at(-1)!, of('') + of('NotVisible') + of('Delayed')];
    }),
  );
  sqs.destroy();
  return Object.fromEntries(counts);
}
