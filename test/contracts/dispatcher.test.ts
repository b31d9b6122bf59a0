import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqsDispatcher } from '../../lambdas/adapters/sqs-dispatcher.ts';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Dispatcher, Duty } from '../../lambdas/core/ports.ts';
import { createModule } from '../../local/services/sqs/index.ts';
import { FakeDispatcher } from '../fakes/fake-dispatcher.ts';
import { startCloud, type TestCloud } from '../local/services/cloud.ts';

interface World {
  readonly dispatcher: Dispatcher;
  /** Tenants that a function of this duty is told to look at now. */
  told(duty: Duty): Promise<string[]>;
}

function dispatcherContract(world: () => World): void {
  it('tells the function of the duty, and no other', async () => {
    await world().dispatcher.look('acme', 'create');
    await world().dispatcher.look('other', 'sweep', 0);
    expect(await world().told('create')).toEqual(['acme']);
    expect(await world().told('sweep')).toEqual(['other']);
    expect(await world().told('delete')).toEqual([]);
  });

  it.each([-1, 901, 1.5])('refuses a delay of %d seconds', async (delay) => {
    await expect(world().dispatcher.look('acme', 'create', delay)).rejects.toThrow(RangeError);
  });

  it('does not tell before the delay is over', async () => {
    await world().dispatcher.look('later', 'delete', 900);
    expect(await world().told('delete')).toEqual([]);
  });
}

describe('Dispatcher fake', () => {
  const dispatcher = new FakeDispatcher();
  dispatcherContract(() => ({
    dispatcher,
    told: async (duty) =>
      dispatcher.sent
        .filter((sent) => sent.duty === duty && sent.delaySeconds === 0)
        .map(({ tenantId }) => tenantId),
  }));
});

describe('Dispatcher over SQS', () => {
  let cloud: TestCloud;
  let client: SQSClient;
  let queues: Record<Duty, string>;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
    client = new SQSClient(cloud.client);
    const url = async (name: string) => (await cloud.provision('AWS::SQS::Queue', name, {})).ref;
    const urls = ['create', 'delete', 'sweep', 'scale', 'patch', 'remediate'].map(
      async (duty) => [duty, await url(`${duty[0]!.toUpperCase()}${duty.slice(1)}`)] as const,
    );
    queues = Object.fromEntries(await Promise.all(urls)) as Record<Duty, string>;
  });
  afterAll(() => cloud.stop());
  dispatcherContract(() => ({
    dispatcher: new SqsDispatcher({ queues, client }),
    async told(duty) {
      const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl: queues[duty] }));
      return (Messages ?? []).map(({ Body }) => JSON.parse(Body!).tenantId);
    },
  }));

  it('says which call failed when the queue is not there', async () => {
    const dispatcher = new SqsDispatcher({ queues: { ...queues, sweep: `${cloud.url}/1/none` }, client });
    await expect(dispatcher.look('acme', 'sweep')).rejects.toThrow(ControlPlaneError);
    await expect(dispatcher.look('acme', 'sweep')).rejects.toThrow('sqs:SendMessage');
  });
});
