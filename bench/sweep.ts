import { type TenantRecord, tenantRecordSchema } from '../lambdas/core/model/tenant.ts';
import type { Dispatcher, Log, NannyClient } from '../lambdas/core/ports.ts';
import { type NannyStatus, nannyStatusSchema } from '../lambdas/core/wire/admin.ts';
import { type SweepDeps, sweepDue, sweepTenant } from '../lambdas/sweep/sweep.ts';
import { countingIds } from '../test/fakes/counting-ids.ts';
import { FakeVolumes } from '../test/fakes/fake-volumes.ts';
import { InMemoryTenantStore } from '../test/fakes/in-memory-tenant-store.ts';
import { formed, now } from '../test/fakes/sim/formed.ts';
import { simCell } from '../test/fakes/sim/world.ts';
import { verdict } from './report.ts';

/** Design, section 13: CPU of one round that looks at 10,000 idle tenants, on one core. */
const budgetSeconds = 60;
const most = 10_000;
/** CPU a tenant at 10,000 tenants against that at 2,500: linear is 1. */
const linearity = 1.5;

/**
 * One round of the sweep in which every tenant is due (in fact each is every third round): find them, look at each, save.
 * The product's own code; table, ECS and nannies answer at once. Records and answers are written as JSON, read and checked as
 * the adapters do it; TLS and HTTP are not in it.
 */
export async function benchSweep(say: (line: string) => void): Promise<string> {
  await round(500);
  const rounds = [];
  for (const tenants of [most / 4, most / 2, most]) {
    const cpuSeconds = await round(tenants);
    rounds.push({ tenants, cpuSeconds });
    say(
      `  ${tenants.toLocaleString('en')} tenants: ${cpuSeconds.toFixed(1)} s of CPU, ${((cpuSeconds / tenants) * 1e6).toFixed(0)} µs a tenant`,
    );
  }
  const [first, , last] = rounds;
  const growth = last!.cpuSeconds / last!.tenants / (first!.cpuSeconds / first!.tenants);
  return [
    `A sweep round over ${most.toLocaleString('en')} idle tenants: ${last!.cpuSeconds.toFixed(1)} s of CPU, budget ${budgetSeconds} s: ${verdict(last!.cpuSeconds, budgetSeconds)}`,
    `CPU a tenant, ${most.toLocaleString('en')} tenants against ${(most / 4).toLocaleString('en')}: ${growth.toFixed(2)} x, linear up to ${linearity} x: ${verdict(growth, linearity)}`,
  ].join('\n');
}

async function round(tenants: number): Promise<number> {
  const deps = await fleetOf(tenants);
  const before = process.cpuUsage();
  const due: string[] = [];
  deps.dispatcher.look = async (tenantId) => void due.push(tenantId);
  // A shard gives 200 at a time; the rounds after it take the rest.
  for (let found = -1; found !== 0; ) {
    found = await sweepDue(deps);
    for (const tenantId of due.splice(0)) await sweepTenant(deps, tenantId);
  }
  const { user, system } = process.cpuUsage(before);
  if (looked !== tenants) throw new Error(`Looked at ${looked} of ${tenants} tenants.`);
  return (user + system) / 1e6;
}

let looked = 0;

async function fleetOf(tenants: number) {
  looked = 0;
  const store = new InMemoryTenantStore();
  const { tenant, observation } = formed([{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }]);
  const statuses = new Map<string, NannyStatus>();
  for (const seen of Object.values(observation.nannies))
    if (seen.reachable) statuses.set(seen.status.memberName, seen.status);
  for (let index = 0; index < tenants; index++) {
    const { operation: _, ...rest } = tenant;
    await store.create({ ...rest, cell: simCell.id, tenantId: `t${index}`, nextCheckAt: now.toISOString() });
  }
  const [get, save] = [store.get.bind(store), store.save.bind(store)];
  store.get = async (tenantId) => {
    const record = await get(tenantId);
    return record && (tenantRecordSchema.parse(JSON.parse(JSON.stringify(record))) as TenantRecord);
  };
  store.save = async (next, expected) => {
    looked += 1;
    JSON.stringify(tenantRecordSchema.parse(next));
    await save(next, expected);
  };
  const nannies = {
    status: async ({ tenant: { tenantId, members }, ip }: { tenant: TenantRecord; ip: string }) => {
      const name = Object.values(members).find((member) => 'ip' in member && member.ip === ip)!.name;
      const status = { ...statuses.get(name)!, tenantId };
      return nannyStatusSchema.parse(JSON.parse(JSON.stringify(status)));
    },
  } as unknown as NannyClient;
  const runtime = {
    describe: async (_: unknown, taskArns: readonly string[]) =>
      taskArns.map((taskArn) => ({ taskArn, lastStatus: 'RUNNING', desiredStatus: 'RUNNING' })),
    list: async () => Object.keys(observation.tasks),
  } as unknown as SweepDeps['runtime'];
  const log: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const dispatcher: Pick<Dispatcher, 'look' | 'lookAtFleet'> = {
    look: async () => undefined,
    lookAtFleet: async () => undefined,
  };
  const clock = { now: () => new Date(now.getTime() + 60_000), sleep: async () => undefined };
  return {
    cell: simCell,
    store,
    runtime,
    volumes: new FakeVolumes(),
    nannies,
    dispatcher,
    clock,
    ids: countingIds(),
    log,
    metrics: { tenant: () => undefined },
  } satisfies SweepDeps;
}
