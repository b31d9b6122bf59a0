import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AlarmKind, type AlarmSettings, alarmsOf, statisticOf } from '../../../lambdas/core/alarms.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { Alarms } from '../../../local/services/cloudwatch/alarms.ts';
import { Metrics } from '../../../local/services/cloudwatch/metrics.ts';
import { compositeAlarmSchema, metricAlarmSchema } from '../../../local/services/cloudwatch/model.ts';
import { noCapacity } from '../../fakes/sim/sim-ecs.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

/**
 * The whole control plane in virtual time, its metrics in the local cloud's CloudWatch, alarms as they are made for tenants, all with the
 * times that they have on AWS. Each fault turns its own alarm on, pages once, and is over by itself when the fault is.
 */
const settings: AlarmSettings = {
  deploymentName: 'etcd-nanny',
  topicArn: 'arn:topic',
  runbookUrl: 'docs/runbooks',
  pageAfterMinutes: 15,
  stormAlarm: 'etcd-nanny-storm-echo',
};
const hours = 3_600;
const MiB = 1024 * 1024;

let world: World;
let alarms: Alarms;
let pages: string[];
/** Whether rule S8 holds repairs back, as the sweep tells once a minute. */
let storm = false;
let directory: string;
const record = async () => (await world.store.get('acme'))!;
const change = async (mutate: (tenant: TenantRecord) => TenantRecord) =>
  updateTenant(world, await record(), mutate);
const memberTasks = () => world.ecs.alive('acme').filter(({ isWorker }) => !isWorker);
const nameOf = (kind: AlarmKind | 'page') => `etcd-nanny/acme/${kind}`;
const on = () =>
  alarms
    .all()
    .filter(({ kind, state }) => kind === 'metric' && state === 'ALARM')
    .map(({ alarm }) => alarm.AlarmName.split('/')[2]);
const stateOf = (kind: AlarmKind | 'page') => alarms.get(nameOf(kind))?.state;

beforeEach(async () => {
  world = new World();
  world.members.hashAt = (revision) => revision % 1_000;
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  directory = mkdtempSync(path.join(tmpdir(), 'alarms-'));
  pages = [];
  const metrics = new Metrics();
  alarms = new Alarms({
    context: { accountId: '1', region: 'us-east-1', emit: () => undefined, log: () => undefined },
    metrics,
    topics: { publish: (_topic, _alarm, { subject }) => void pages.push(subject) },
    file: path.join(directory, 'alarms.json'),
    now: () => world.clock.now().getTime(),
  });
  // As lib/constructs/fleet-alarms.ts has them.
  alarms.putMetric(metricAlarm({ name: 'etcd-nanny-storm-stop', metric: 'StormStop', above: 0 }));
  alarms.putMetric(
    metricAlarm({ name: settings.stormAlarm, metric: 'StormStop', above: 0, periods: 15, datapoints: 1 }),
  );
  storm = false;
  const { metric, composite } = alarmsOf(await record(), settings)!;
  for (const alarm of metric) alarms.putMetric(metricAlarm({ ...alarm, statistic: statisticOf(alarm) }));
  alarms.putComposite(
    compositeAlarmSchema.parse({
      AlarmName: composite.name,
      AlarmRule: composite.rule,
      AlarmActions: ['arn:topic'],
      OKActions: ['arn:topic'],
    }),
  );
  // CloudWatch looks once a minute.
  const everyMinute = (): void => {
    world.clock.at(60_000, everyMinute);
    for (const { at, tenantId, figures } of world.figures.splice(0))
      for (const [name, value] of Object.entries(figures))
        metrics.put({ namespace: 'EtcdNanny', name, dimensions: { TenantId: tenantId }, value, at });
    if (storm) {
      const at = world.clock.now().getTime();
      metrics.put({
        namespace: 'EtcdNanny',
        name: 'StormStop',
        dimensions: { TenantId: 'acme' },
        value: 1,
        at,
      });
    }
    alarms.evaluate();
  };
  everyMinute();
  // The first full backup and its first proof.
  await world.settle(1_200);
  expect(on()).toEqual([]);
  expect(stateOf('page')).toBe('OK');
  pages.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function metricAlarm(alarm: {
  readonly name: string;
  readonly metric: string;
  readonly above?: number;
  readonly below?: number;
  readonly periodSeconds?: number;
  readonly periods?: number;
  readonly datapoints?: number;
  readonly statistic?: string;
}) {
  return metricAlarmSchema.parse({
    AlarmName: alarm.name,
    Namespace: 'EtcdNanny',
    MetricName: alarm.metric,
    Dimensions: [{ Name: 'TenantId', Value: 'acme' }],
    Statistic: alarm.statistic ?? 'Maximum',
    Period: alarm.periodSeconds ?? 60,
    EvaluationPeriods: alarm.periods ?? 1,
    DatapointsToAlarm: alarm.datapoints ?? alarm.periods ?? 1,
    Threshold: alarm.above ?? alarm.below,
    ComparisonOperator: alarm.above === undefined ? 'LessThanThreshold' : 'GreaterThanThreshold',
  });
}

/** Launches fail until `over`. */
function refuseLaunches(): { over: () => void } {
  const faults = world.ecs.launchFaults;
  for (let n = 0; n < 10_000; n += 1) faults.push(noCapacity());
  return { over: () => void faults.splice(0) };
}
/** What every nanny says, or one. */
const say = (part: (status: NannyStatus) => Partial<NannyStatus>, of?: string): void => {
  world.members.alter = (status) =>
    of === undefined || status.memberName === of ? { ...status, ...part(status) } : status;
};
const sayNothing = (): void => {
  world.members.alter = (status) => status;
};

async function pagesOnce(
  kind: AlarmKind,
  fault: () => Promise<void> | void,
  over: () => Promise<void> | void,
): Promise<void> {
  await fault();
  await world.until(() => stateOf('page') === 'ALARM', 3 * hours);
  await world.until(() => stateOf(kind) === 'ALARM', 3 * hours);
  expect(on()).toContain(kind);
  // However long it lasts.
  await world.settle(hours);
  expect(stateOf(kind)).toBe('ALARM');
  expect(pages).toEqual([`ALARM: "${nameOf('page')}"`]);
  await over();
  await world.until(() => stateOf('page') === 'OK', 3 * hours);
  await world.settle(hours);
  expect(on()).toEqual([]);
  expect(pages).toEqual([`ALARM: "${nameOf('page')}"`, `OK: "${nameOf('page')}"`]);
  expect(world.errors).toEqual([]);
}

describe('a fault that is repaired by itself', () => {
  test('pages nobody: a lost member', async () => {
    world.ecs.end(memberTasks()[0]!, 'Host EC2 terminated');
    await world.settle(hours);
    expect(memberTasks()).toHaveLength(3);
    expect(pages).toEqual([]);
  });

  test('pages nobody: a lost quorum, when it is back within minutes', async () => {
    for (const task of memberTasks().slice(0, 2)) world.ecs.end(task, 'Host EC2 terminated');
    await world.settle(2 * hours);
    expect((await record()).status.phase).toBe('available');
    expect(pages).toEqual([]);
  });
});

describe('a storm pages by itself', () => {
  test('a tenant that it struck pages neither while it is on nor when it is over', async () => {
    const capacity = refuseLaunches();
    storm = true;
    world.ecs.end(memberTasks()[0]!, 'gone');
    await world.until(() => stateOf('quorum-at-risk') === 'ALARM', 3 * hours);
    await world.settle(hours);
    storm = false;
    capacity.over();
    await world.settle(hours);
    expect(on()).toEqual([]);
    expect(pages).toEqual([]);
  });

  test('a tenant that is still not well a quarter of an hour after it pages', async () => {
    const capacity = refuseLaunches();
    storm = true;
    world.ecs.end(memberTasks()[0]!, 'gone');
    await world.settle(hours);
    storm = false;
    await world.settle(hours / 2);
    expect(pages).toEqual([`ALARM: "${nameOf('page')}"`]);
    capacity.over();
    await world.settle(hours);
    expect(on()).toEqual([]);
  });
});

describe('one page, and its end, for', () => {
  test('quorum at risk: a lost member, and no capacity for another', async () => {
    const capacity = refuseLaunches();
    await pagesOnce('quorum-at-risk', () => world.ecs.end(memberTasks()[0]!, 'gone'), capacity.over);
  });

  test('not writable: a lost quorum while somebody has paused the automation', async () => {
    await pagesOnce(
      'not-writable',
      async () => {
        const since = world.clock.now().toISOString();
        await change((tenant) => ({ ...tenant, paused: { since, by: 'paula', reason: 'a look' } }));
        for (const task of memberTasks().slice(0, 2)) world.ecs.end(task, 'gone');
      },
      () => change(({ paused: _paused, ...tenant }) => tenant).then(() => undefined),
    );
  });

  test('not writable: an alarm of etcd', async () => {
    await pagesOnce(
      'not-writable',
      () => say(({ self }) => ({ alarms: [{ etcdId: self?.etcdId ?? '1', alarm: 'CORRUPT' }] })),
      sayNothing,
    );
  });

  test('split brain: a member speaks of another cluster', async () => {
    const [stray] = memberTasks();
    await pagesOnce(
      'split-brain',
      () => say(({ self }) => (self ? { self: { ...self, clusterId: 'bad' } } : {}), stray!.memberName),
      sayNothing,
    );
  });

  test('backup not fresh: S3 takes nothing any more', async () => {
    let since: string | undefined;
    await pagesOnce(
      'backup-not-fresh',
      () =>
        say(({ backup, at }) => {
          since ??= at;
          return backup
            ? { backup: { ...backup, upToDateAt: since, pending: 3, problem: 'S3 answers AccessDenied' } }
            : {};
        }),
      sayNothing,
    );
  });

  test('backup not proven: no restore comes to what the cluster has', async () => {
    const { failures } = world.members.bucket;
    await pagesOnce(
      'backup-not-proven',
      async () => {
        for (let n = 0; n < 1_000; n += 1) {
          failures.push({ state: 'failed', code: 'damaged', problem: 'its sha256 is another' });
        }
        await change((tenant) => ({
          ...tenant,
          operation: { operationId: world.ids.ulid(), kind: 'drill' },
        }));
        await world.dispatcher.look('acme', 'backup');
      },
      () => void failures.splice(0),
    );
  });

  test('space: the database stays above nine tenths of its quota', async () => {
    const quota = (await record()).spec.quotaMiB * MiB;
    await pagesOnce(
      'space',
      () =>
        say(({ self }) =>
          self ? { self: { ...self, dbSize: 0.95 * quota, dbSizeInUse: 0.95 * quota } } : {},
        ),
      sayNothing,
    );
  });

  test('operation stuck: a cluster is to grow, and there is no capacity', async () => {
    let capacity: { over: () => void };
    await pagesOnce(
      'operation-stuck',
      async () => {
        capacity = refuseLaunches();
        await world.changeSpec('acme', 'scale', { members: 5 });
      },
      () => capacity.over(),
    );
  });

  test('certificate near expiry: renewals do not come about', async () => {
    const notAfter = new Date(world.clock.now().getTime() + 6 * 24 * 3_600_000).toISOString();
    await pagesOnce(
      'certificate-expiry',
      () => say(({ certificates }) => (certificates ? { certificates: { ...certificates, notAfter } } : {})),
      sayNothing,
    );
  });
});
