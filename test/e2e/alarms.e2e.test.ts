import { PurgeQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type AlarmKind, alarmName } from '../../lambdas/core/alarms.ts';
import type { ChaosAction } from '../../local/chaos/actions.ts';
import { etcd3Client } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { look } from './support/look.ts';
import { operating } from './support/operating.ts';
import { recordsOf } from './support/record.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

/**
 * Each alarm is driven to ALARM by its own fault and back by its end, and each fault pages exactly once: as many pages as faults, not
 * as alarms. A period of a minute takes twenty seconds here; ages that metrics tell (of a backup, of a repair) are real.
 */
const acme = 'acme';
const deployment = 'etcd-nanny';
/** Faster, and the rounds of the sweep, one a minute, would be too few for the alarm that counts them. */
const speed = 3;
const pageAfterMinutes = 3;
const patienceMs = 600_000;
/** A fault, its end and what it takes to be told of both. */
const timeout = 3 * patienceMs;

let cloud: TestCloud;
let looking = true;
let looks: Promise<unknown>;
beforeAll(async () => {
  cloud = await testCloud({ context: { pageAfterMinutes } });
  cloud.cloud.alarms.speed = speed;
  await cloud.create(acme);
  looks = (async () => {
    // What tells the metrics is a look; the sweep has one every two minutes, that is every 80 of these.
    while (looking) {
      await look(cloud, acme).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    }
  })();
}, 300_000);
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') return;
  console.log(
    cloud.cloud.alarms.all().map(({ alarm, state, reason }) => `${state} ${alarm.AlarmName}: ${reason}`),
  );
  return printTimelines(cloud, [acme]);
});
afterAll(async () => {
  looking = false;
  await looks?.catch(() => {});
  await cloud?.dispose();
});

const hurt = (action: ChaosAction) => cloud.cloud.hurt.act(action);
const stateOf = (name: string) => cloud.cloud.alarms.get(name)?.state;
const becomes = (name: string, state: 'ALARM' | 'OK') =>
  until(
    `${name} to be ${state}`,
    () => {
      if (stateOf(name) === state) return true;
      const { reason } = cloud.cloud.alarms.get(name) ?? { reason: 'there is no such alarm' };
      throw new Error(`it is ${stateOf(name)}: ${reason}`);
    },
    { deadlineMs: patienceMs },
  );
const of = (kind: AlarmKind | 'page') => alarmName(deployment, acme, kind);
const paged = (name: string) =>
  cloud.cloud.pages.pages().filter(({ subject }) => subject === `ALARM: "${name}"`).length;
const everyPage = () => cloud.cloud.pages.pages().filter(({ subject }) => subject.startsWith('ALARM'));

/** Everything is well before: what pages afterwards is this fault's. */
async function onePage(page: string, fault: () => Promise<void>, over: () => Promise<void>): Promise<void> {
  await becomes(page, 'OK');
  const [before, all] = [paged(page), everyPage().length];
  await fault();
  await becomes(page, 'ALARM');
  await over();
  await becomes(page, 'OK');
  expect(paged(page) - before, 'pages of this fault').toBe(1);
  expect(
    everyPage()
      .slice(all)
      .map(({ subject }) => subject),
  ).toEqual([`ALARM: "${page}"`]);
}

const followers = async () => (await cloud.tenant(acme)).members.filter(({ isLeader }) => !isLeader);
const { command, lose } = operating(() => cloud, acme);
const healthy = () =>
  until(
    'all members to be well, and nobody at work',
    async () => {
      const { phase, operation, remediation, members } = await cloud.tenant(acme);
      return phase === 'available' && !operation && !remediation && members.every((member) => member.healthy);
    },
    { deadlineMs: patienceMs },
  );

/** As if its authority were nearly ten years old, with so many days left. */
const ageAuthority = (daysLeft: number) =>
  recordsOf(cloud).change(acme, (record) => {
    if (record.pki === undefined) return undefined;
    const at = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
    return { ...record, pki: { ...record.pki, validFrom: at(daysLeft - 3_650), validUntil: at(daysLeft) } };
  });

const queueUrl = (pattern: RegExp): string => {
  const urls = cloud.cloud.registry.resourcesOfType('AWS::SQS::Queue').map(({ ref }) => ref);
  const found = urls.find((url) => pattern.test(url));
  if (found === undefined) throw new Error(`There is no queue like ${pattern} among ${urls.join(', ')}.`);
  return found;
};
async function sqs<T>(use: (client: SQSClient) => Promise<T>): Promise<T> {
  const { url: endpoint, region, credentials } = cloud.cloud;
  const client = new SQSClient({ endpoint, region, credentials });
  return use(client).finally(() => client.destroy());
}

describe('a tenant', { timeout }, () => {
  test('has its alarms soon after it was made, and none of them is on', async () => {
    await becomes(of('page'), 'OK');
    await until(
      'all alarms to be OK',
      () =>
        cloud.cloud.alarms
          .all()
          .filter(({ alarm }) => alarm.AlarmName.startsWith(`${deployment}/${acme}/`))
          .every(({ state }) => state === 'OK'),
      // The slowest wants as many periods as it looks at.
      { deadlineMs: patienceMs },
    );
    expect(
      cloud.cloud.alarms.all().filter(({ alarm }) => alarm.AlarmName.includes(`/${acme}/`)),
    ).toHaveLength(9);
  });

  test('quorum at risk: a lost member that cannot be replaced', async () => {
    const [victim] = await followers();
    await onePage(
      of('page'),
      async () => {
        await hurt({ do: 'deny', service: 'ecs', operation: 'RunTask' });
        await lose(victim!.name);
        await becomes(of('quorum-at-risk'), 'ALARM');
        // The repair that gets nowhere is the same fault.
        await becomes(of('operation-stuck'), 'ALARM');
      },
      async () => {
        await hurt({ do: 'clear' });
        await healthy();
        await becomes(of('quorum-at-risk'), 'OK');
        await becomes(of('operation-stuck'), 'OK');
      },
    );
  });

  test('not writable: quorum is lost while somebody has paused the automation', async () => {
    await healthy();
    const victims = await followers();
    await onePage(
      of('page'),
      async () => {
        await command('pause', acme);
        for (const { name } of victims) await lose(name);
        await becomes(of('not-writable'), 'ALARM');
      },
      async () => {
        await command('resume', acme);
        await healthy();
        await becomes(of('not-writable'), 'OK');
      },
    );
  });

  test('backup not fresh: S3 takes nothing any more', async () => {
    await healthy();
    const client = await etcd3Client(cloud, acme);
    await onePage(
      of('page'),
      async () => {
        await hurt({ do: 'deny', service: 's3', resource: `/${acme}/` });
        await client.put('seen').value('but not shipped');
        await becomes(of('backup-not-fresh'), 'ALARM');
      },
      async () => {
        await hurt({ do: 'clear' });
        await becomes(of('backup-not-fresh'), 'OK');
      },
    );
    client.close();
  });

  test('certificate near expiry: the authority is nearly too old, and nobody may replace it', async () => {
    await healthy();
    await onePage(
      of('page'),
      async () => {
        await command('pause', acme);
        await ageAuthority(370);
        await becomes(of('certificate-expiry'), 'ALARM');
      },
      async () => {
        await command('resume', acme);
        await becomes(of('certificate-expiry'), 'OK');
      },
    );
  });
});

describe('the control plane', { timeout }, () => {
  const page = `${deployment}-control-plane`;

  test('dead letters: looks that fail again and again', async () => {
    const body = JSON.stringify({ tenantId: acme });
    await onePage(
      page,
      async () => {
        cloud.cloud.faults.messages = { duplicate: false, delaySeconds: 0, retryAfterSeconds: 1 };
        await hurt({ do: 'deny', service: 'dynamodb', operation: 'GetItem', function: 'scale' });
        const live = queueUrl(/QueuesScale(?!Dead)/);
        await sqs((client) => client.send(new SendMessageCommand({ QueueUrl: live, MessageBody: body })));
        await becomes(`${deployment}-c1-dead-letters`, 'ALARM');
      },
      async () => {
        cloud.cloud.faults.messages = { duplicate: false, delaySeconds: 0 };
        await hurt({ do: 'clear' });
        await sqs((client) => client.send(new PurgeQueueCommand({ QueueUrl: queueUrl(/QueuesScaleDead/) })));
        await becomes(`${deployment}-c1-dead-letters`, 'OK');
      },
    );
  });
});

test('the alarms of a deleted tenant are removed', async () => {
  looking = false;
  await looks;
  const { operation } = await command('delete', acme, '--yes', '--no-final-backup');
  await cloud.ended(operation);
  await until('its alarms to be gone', () =>
    cloud.cloud.alarms.all().every(({ alarm }) => !alarm.AlarmName.includes(`/${acme}/`)),
  );
});
