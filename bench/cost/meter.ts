import type { Metered } from '../../bin/cli/cost/estimate.ts';
import type { Calls } from '../../bin/cli/cost/metered.ts';
import { eventItem, operationItem, tenantItem } from '../../lambdas/adapters/dynamo-items.ts';
import { ensureAlarms } from '../../lambdas/alarms/alarms.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { adviseTenant } from '../../lambdas/core/size-advice.ts';
import { untilHealthy, World } from '../../test/fakes/sim/world.ts';
import { itemBytes } from '../../test/limits/largest.ts';
import { realCertificates } from './real-size.ts';

/**
 * One virtual hour of the real control plane over fakes, each call of its ports counted as the adapters make it
 * (tables in lambdas/adapters/). What fakes cannot know, such as billed time, is not metered: bin/cli/cost/assumptions.ts.
 */
export type Load = 'idle' | 'busy';

const hourSeconds = 3_600;

export const meterAll = async (): Promise<Metered> => ({
  idle: await meterTenant('idle'),
  busy: await meterTenant('busy'),
  fleet: await meterFleet(),
});

export async function meterTenant(load: Load): Promise<Calls> {
  const world = new World();
  // As the simulated worker makes it of a revision: drills find what they look for.
  world.members.hashAt = (revision) => revision % 1_000;
  serveAlarms(world);
  await world.createTenant('acme');
  if (!(await untilHealthy(world, 'acme'))) throw new Error('The tenant did not become healthy.');
  // The first backup, the first drill and whatever else a new tenant has once. From then on a drill is daily: in none of most hours.
  await world.settle(2 * hourSeconds);
  const meter = attach(world, await realCertificates());
  if (load === 'busy') write(world);
  await world.settle(hourSeconds);
  if (world.errors.length > 0) throw new AggregateError(world.errors, 'Functions threw.');
  return meter.perTenant();
}

/** What a cell costs of itself: an hour without tenants. */
export async function meterFleet(): Promise<Calls> {
  const world = new World();
  const meter = attach(world, (record) => record);
  await world.settle(hourSeconds);
  return meter.fleet();
}

/** The function that speaks to CloudWatch, which the world has none of: its alarms are there, and the load is small. */
function serveAlarms(world: World): void {
  const look = world.look.bind(world);
  const settings = {
    deploymentName: 'etcd-nanny',
    topicArn: 'arn:aws:sns:us-east-1:000000000000:pages',
    runbookUrl: 'https://example.com/runbooks',
    pageAfterMinutes: 5,
    stormAlarm: 'storm',
  };
  const alarms = { ensure: async () => 0, tenants: async () => [] };
  const loads = {
    hours: async (_: string, from: Date, to: Date) =>
      Array.from({ length: 25 }, (__, hour) => ({
        at: new Date(Math.min(from.getTime() + hour * 3_600_000, to.getTime())),
        cpuPercent: 50,
        memoryPercent: 50,
        dbSizeBytes: 100_000_000,
      })),
  };
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const { dispatcher } = world;
  const send = dispatcher.look.bind(dispatcher);
  dispatcher.look = async (tenantId, duty, delaySeconds) => {
    await send(tenantId, duty, delaySeconds);
    if (duty === 'alarms') world.clock.at(20, () => void world.look(tenantId, duty));
  };
  world.look = async (tenantId, duty) => {
    if (duty !== 'alarms') return look(tenantId, duty);
    const { store, clock, ids } = world;
    await ensureAlarms({ store, clock, alarms, settings, log }, tenantId);
    return adviseTenant({ store, clock, ids, loads, log }, tenantId);
  };
}

/** Clients write all the time: revisions move between any two looks. */
function write(world: World): void {
  const again = (): void => {
    for (const cluster of world.members.clusters.values()) cluster.index += 50;
    for (const member of world.members.members.values()) if (member.state === 'ready') member.applied += 50;
    world.clock.at(1_000, again);
  };
  again();
}

type Counts = { -readonly [K in keyof Calls]: number };

function attach(world: World, real: (record: TenantRecord) => TenantRecord) {
  const counts: Counts = {
    looks: 0,
    nannyLooks: 0,
    joins: 0,
    messages: 0,
    dynamoReadUnits: 0,
    dynamoWriteUnits: 0,
    s3Lists: 0,
    ecs: 0,
    ec2: 0,
    cloudMap: 0,
  };
  const fleet = { ...counts };
  const read = (bytes: number, strong = true): void => {
    counts.dynamoReadUnits += Math.max(1, Math.ceil(bytes / 4_096)) * (strong ? 1 : 0.5);
  };
  const written = (item: unknown): void => {
    counts.dynamoWriteUnits += Math.max(1, Math.ceil(itemBytes(item) / 1_024));
  };
  const size = (value: unknown): number => (value === undefined ? 0 : itemBytes(value));
  let nextCheckAt: string | undefined;

  const after = (target: object, name: string, count: (args: never[], result: unknown) => void): void => {
    const port = target as Record<string, (...args: never[]) => Promise<unknown>>;
    const original = port[name]!.bind(target);
    port[name] = async (...args) => {
      const result = await original(...args);
      count(args, result);
      return result;
    };
  };
  const { store, dispatcher } = world;
  after(store, 'get', (_, result) => read(result ? itemBytes(tenantItem(real(result as TenantRecord))) : 0));
  for (const name of ['getOperation', 'getIdempotent', 'getGrave', 'getRollout'])
    after(store, name, (_, result) => read(size(result)));
  for (const name of [
    'listOperations',
    'listEvents',
    'listBackups',
    'sickTenants',
    'list',
    'count',
    'countInCell',
  ])
    after(store, name, (_, result) => read(size(result)));
  for (const name of ['create', 'save'])
    after(store, name, ([record]: TenantRecord[]) => {
      written(tenantItem(real(record!)));
      // The due index: the old entry goes, the new one comes.
      if (record!.nextCheckAt !== nextCheckAt) counts.dynamoWriteUnits += 2;
      nextCheckAt = record!.nextCheckAt;
    });
  after(store, 'putOperation', ([operation]) => written(operationItem(operation!)));
  after(store, 'appendEvent', ([event]) => written(eventItem(event!)));
  for (const name of ['putBackup', 'putIdempotent', 'noteSick', 'bury', 'saveRollout'])
    after(store, name, ([item]) => written(item));
  for (const name of ['remove', 'removeBackup', 'removeGrave']) after(store, name, () => written('x'));
  after(store, 'takeDestructiveToken', () => {
    read(500);
    written('x');
  });
  // Asked by the schedule for all tenants at once: no tenant's own.
  for (const name of ['due', 'dueGraves'])
    after(store, name, () => {
      fleet.dynamoReadUnits += 0.5;
    });
  after(dispatcher, 'look', () => {
    counts.messages += 1;
  });
  after(world, 'look', () => {
    counts.looks += 1;
    if (asked) counts.nannyLooks += 1;
    asked = false;
  });
  after(world, 'callJoin', () => {
    counts.joins += 1;
  });
  let asked = false;
  after(world.members, 'status', () => {
    asked = true;
  });
  for (const name of ['launch', 'describe', 'list', 'stop'])
    after(world.ecs, name, () => {
      counts.ecs += 1;
    });
  for (const name of ['list', 'remove'])
    after(world.volumes, name, () => {
      counts.ec2 += 1;
    });
  after(world.volumes, 'listKept', () => {
    fleet.ec2 += 1;
  });
  for (const name of ['ensureService', 'register', 'deregister', 'listInstances'])
    after(world.names, name, () => {
      counts.cloudMap += 1;
    });
  for (const name of ['list', 'exists'])
    after(world.members.bucket, name, () => {
      counts.s3Lists += 1;
    });
  return {
    perTenant: (): Calls => ({ ...counts }),
    /** The schedule's rounds: one invocation a minute, which also reads whether a fleet patch is on. */
    fleet: (): Calls => ({ ...fleet, looks: 60, dynamoReadUnits: fleet.dynamoReadUnits + 60 }),
  };
}
