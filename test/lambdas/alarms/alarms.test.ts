import { beforeEach, expect, test } from 'vitest';
import { ensureAlarms, removeOrphans } from '../../../lambdas/alarms/alarms.ts';
import type { AlarmsOf } from '../../../lambdas/core/alarms.ts';
import type { TenantAlarms } from '../../../lambdas/core/ports.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

const settings = {
  deploymentName: 'etcd-nanny',
  topicArn: 'arn:topic',
  runbookUrl: 'docs/runbooks',
  pageAfterMinutes: 15,
  stormAlarm: 'etcd-nanny-storm-stop',
};
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** What CloudWatch has, by tenant. */
class Kept implements TenantAlarms {
  readonly of = new Map<string, AlarmsOf>();
  async ensure(tenantId: string, wanted: AlarmsOf | undefined): Promise<number> {
    if (wanted === undefined) return this.of.delete(tenantId) ? 1 : 0;
    this.of.set(tenantId, wanted);
    return 1;
  }
  tenants = async () => [...this.of.keys()];
}

let world: World;
let alarms: Kept;
const deps = () => ({ store: world.store, clock: world.clock, log: silent, alarms, settings });
const record = async () => (await world.store.get('acme'))!;
const kindsOf = (tenantId: string) =>
  alarms.of.get(tenantId)?.metric.map(({ name }) => name.split('/')[2]) ?? [];

beforeEach(async () => {
  world = new World();
  alarms = new Kept();
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
});

test('the sweep asks for the alarms of a tenant until they are as its record says, and again after a day', async () => {
  await world.look('acme', 'sweep');
  expect(world.alarmLooks).toContain('acme');
  expect(await ensureAlarms(deps(), 'acme')).toBe('ensured');
  expect(kindsOf('acme')).toHaveLength(8);
  world.alarmLooks.length = 0;
  await world.look('acme', 'sweep');
  expect(world.alarmLooks).toEqual([]);
  const yesterday = new Date(world.clock.now().getTime() - 25 * 3_600_000).toISOString();
  await updateTenant(world, await record(), (tenant) => ({
    ...tenant,
    alarms: { ...tenant.alarms!, at: yesterday },
  }));
  await world.look('acme', 'sweep');
  expect(world.alarmLooks).toEqual(['acme']);
});

test('another number of members or another quota means other alarms, and the sweep asks for them', async () => {
  await ensureAlarms(deps(), 'acme');
  world.alarmLooks.length = 0;
  await updateTenant(world, await record(), (tenant) => ({
    ...tenant,
    spec: { ...tenant.spec, members: 1 },
  }));
  await world.look('acme', 'sweep');
  expect(world.alarmLooks).toEqual(['acme']);
  await ensureAlarms(deps(), 'acme');
  expect(kindsOf('acme')).not.toContain('quorum-at-risk');
});

test('the end of a tenant asks for its alarms to go; where that was lost, they are found as nobody’s', async () => {
  await ensureAlarms(deps(), 'acme');
  await world.createTenant('other');
  await ensureAlarms(deps(), 'other');
  await world.deleteTenant('acme');
  await world.until(async () => (await world.store.get('acme')) === undefined);
  await world.settle(1);
  expect(world.alarmLooks.at(-1)).toBe('acme');
  expect(await removeOrphans(deps())).toBe(1);
  expect([...alarms.of.keys()]).toEqual(['other']);
  expect(await ensureAlarms(deps(), 'acme')).toBe('gone');
});

test('each look of the sweep tells the tenant’s figures; those of a cluster that cannot be seen are left out', async () => {
  await world.look('acme', 'sweep');
  expect(world.figures.at(-1)).toMatchObject({
    tenantId: 'acme',
    figures: { WriteMargin: 1, StuckSeconds: 0, BackupUnprovenSeconds: 0 },
  });
  await world.createTenant('young');
  await world.look('young', 'sweep');
  expect(world.figures.at(-1)).toMatchObject({ tenantId: 'young', figures: { StuckSeconds: 0 } });
  expect(Object.keys(world.figures.at(-1)!.figures)).toEqual(['StuckSeconds']);
});
