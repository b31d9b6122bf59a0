import { PurgeQueueCommand } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { alarmName } from '../../lambdas/core/alarms.ts';
import type { Rollout } from '../../lambdas/core/model/rollout.ts';
import { type Alarming, alarming, deployment, type Fault, keepLooking } from './support/alarming.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { follow } from './support/follow.ts';
import { offered } from './support/offered.ts';
import { onQueue } from './support/queue.ts';
import { calm } from './support/recovery-times.ts';
import { runbook } from './support/runbook.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

/**
 * Each alarm of the control plane, by the fault that its runbook names and back by what the runbook says is to be done, with exactly
 * one page for each. AWS's time passes faster here: periods of alarms, rounds of the sweep, ages of messages.
 */
/** From test to test only faster: a longer period would reach back to what is over. */
const [slowSpeed, usualSpeed, fastSpeed] = [2, 6, 12];
const timeout = 30 * 60_000;
const acme = 'acme';
const tenants = [acme, 'birch', 'cedar'];

let cloud: TestCloud;
let stopLooking: () => Promise<void>;
const alarms: Alarming = alarming(() => cloud);
beforeAll(async () => {
  cloud = await testCloud({ context: { pageAfterMinutes: 2 } });
  const [, version] = await offered(cloud, '3.6');
  await Promise.all(tenants.map((tenantId) => cloud.create(tenantId, { version }, 300_000)));
  stopLooking = keepLooking(() => cloud, tenants, 6_000);
  cloud.cloud.alarms.speed = usualSpeed;
  await allOk();
}, 1_200_000);
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') return;
  alarms.print();
  return printTimelines(cloud, tenants);
});
afterAll(async () => {
  await stopLooking?.();
  await cloud?.dispose();
});

const allOk = () =>
  until(
    'all alarms to be OK',
    () => {
      const all = cloud.cloud.alarms.all();
      const not = all
        .filter(({ state }) => state !== 'OK')
        .map(({ alarm, state }) => `${alarm.AlarmName} ${state}`);
      if (not.length > 0) throw new Error(not.join(', '));
      // Nine of each tenant, and its page.
      return (
        all.filter(({ alarm }) => alarm.AlarmName.startsWith(`${deployment}/`)).length === 9 * tenants.length
      );
    },
    { deadlineMs: 600_000, everyMs: 1_000 },
  );

/** Whatever else the fault turns on: there is one page, and everything is well before and after. */
async function drive(name: string, by: Partial<Fault> = {}): Promise<void> {
  await allOk();
  alarms.count();
  const alarm = `${deployment}-${name}`;
  const page = by.page ?? `${deployment}-control-plane`;
  await alarms.drive({ runbook: name, meant: {}, ...by, alarms: by.alarms ?? [alarm], page });
  await allOk();
  expect(alarms.paged()).toEqual([page]);
}

const ofCell = (name: string): Pick<Fault, 'alarms'> => ({ alarms: [`${deployment}-c1-${name}`] });
const anyMember = async () => (await calm(cloud, acme, 300_000)).members.find(({ isLeader }) => !isLeader)!;
const fleet = async (): Promise<Rollout> =>
  JSON.parse((await cloud.cliBelow('fleet', 'status', '--json')).stdout).rollout;

describe('what pages by itself', { timeout }, () => {
  test('fleet patch stopped: a tenant that it has patched is not well', async () => {
    // A member that is lost is there again long before a quarter of an hour has passed: slower, so that it is here too.
    cloud.cloud.alarms.speed = slowSpeed;
    await allOk();
    alarms.count();
    const { fault, see, back } = runbook('fleet-patch-stopped');
    const page = `${deployment}-fleet-patch-stopped`;
    await follow(cloud, fault.slice(0, 1), {});
    await until('the canary to be patched and watched', async () => (await fleet()).bakingSince, {
      deadlineMs: 300_000,
    });
    const member = await anyMember();
    await follow(cloud, fault.slice(1), { '<follower>': member.name });
    await alarms.becomes(page, 'ALARM');
    await follow(cloud, see, {});
    await calm(cloud, acme, 300_000);
    await follow(cloud, back, {});
    await alarms.becomes(page, 'OK');
    expect((await fleet()).state).toBe('running');
    await cloud.cliBelow('fleet', 'stop');
    await allOk();
    expect(alarms.paged()).toEqual([page]);
    cloud.cloud.alarms.speed = usualSpeed;
  });

  test('storm stop: a zone is out under all tenants; none of them pages for it, then or afterwards', async () => {
    const [first] = (await calm(cloud, acme, 300_000)).members;
    await drive('storm-stop', {
      page: `${deployment}-storm-stop`,
      meant: { '<zone>': first!.zone },
      meanwhile: async () => {
        for (const tenantId of tenants)
          await alarms.becomes(alarmName(deployment, tenantId, 'quorum-at-risk'), 'ALARM');
      },
      backBy: () => Promise.all(tenants.map((tenantId) => calm(cloud, tenantId, 300_000))),
    });
  });
});

describe('the control plane', { timeout }, () => {
  test('sweep silent: EventBridge starts no round any more', () => drive('sweep-silent'));

  test('function errors: the sweep fails, round after round', () =>
    drive('function-errors', { alarms: [`${deployment}-c1-function-errors`, `${deployment}-sweep-silent`] }));

  test('API errors: it cannot read its table', () => drive('api-errors'));

  test('dead letters: looks that fail again and again', async () => {
    const member = await anyMember();
    cloud.cloud.faults.messages = { duplicate: false, delaySeconds: 0, retryAfterSeconds: 1 };
    await drive('dead-letters', {
      ...ofCell('dead-letters'),
      meant: { '<member>': member.name },
      // `aws sqs purge-queue`
      backBy: async () => {
        await calm(cloud, acme, 300_000);
        await onQueue(cloud, /QueuesScaleDead/, (sqs, QueueUrl) =>
          sqs.send(new PurgeQueueCommand({ QueueUrl })),
        );
      },
    });
  });

  test('operations failed: three tenants, and none of their newest backups can be restored', async () => {
    const { fault, back } = runbook('operations-failed');
    const others = (commands: typeof fault) =>
      Promise.all(['birch', 'cedar'].map((tenantId) => follow(cloud, commands, { acme: tenantId })));
    // They count when they fail within the same quarter of an hour of CloudWatch's, which is two and a half minutes here.
    const quarterMs = (15 * 60_000) / cloud.cloud.alarms.speed;
    await until('a quarter of an hour to begin', () => Date.now() % quarterMs < 10_000, {
      deadlineMs: 2 * quarterMs,
    });
    await drive('operations-failed', {
      by: () => others(fault),
      backBy: async () => {
        await others(back);
        // CloudWatch goes by the last failures for two more quarters of an hour.
        cloud.cloud.alarms.speed = fastSpeed;
      },
    });
  });

  test('old messages: nobody takes them any more', async () => {
    const member = await anyMember();
    cloud.cloud.alarms.speed = fastSpeed;
    await drive('old-messages', { ...ofCell('old-messages'), meant: { '<member>': member.name } });
    await calm(cloud, acme, 300_000);
  });
});
