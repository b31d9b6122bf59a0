import { beforeEach, expect, test } from 'vitest';
import { type Work, workSchema } from '../../../lambdas/core/model/tenant.ts';
import type { WorkOrder } from '../../../lambdas/core/wire/work.ts';
import type { SimTask } from '../../fakes/sim/sim-ecs.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

const at = '2026-01-01T00:00:00.000Z';
const order: WorkOrder = {
  orderId: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  bucket: 'backups',
  etcdVersion: '3.6.16',
  source: { kind: 'full', key: 'cell-1/acme/1/full/x.snap', sha256: 'a', bytes: 1, revision: 1 },
  deltas: { prefix: 'cell-1/acme/1/delta/' },
};

let world: World;
let task: SimTask;
beforeEach(async () => {
  world = new World();
  await world.createTenant('acme', { members: 1 });
  await untilHealthy(world, 'acme');
  task = world.ecs.alive('acme')[0]!;
});

const ask = (over: { tenantId?: string; memberName?: string; session?: string; ip?: string } = {}) =>
  world.callJoin(
    'storage',
    { tenantId: over.tenantId ?? 'acme', memberName: over.memberName ?? task.memberName },
    { session: over.session ?? task.taskArn.split('/').at(-1)!, sourceIp: over.ip ?? task.ip },
  );

/** The tenant's worker, running in the task of its member: only the record tells them apart here. */
async function work(over: Partial<Work> = {}): Promise<void> {
  const tenant = (await world.store.get('acme'))!;
  const known = { attempt: 1, name: 'mworker00', purpose: 'restore', order, zone: 'z', requestedAt: at };
  const fields = Object.entries({ ...known, taskArn: task.taskArn, ip: task.ip, ...over });
  const now = workSchema.parse(Object.fromEntries(fields.filter(([key]) => key in workSchema.shape)));
  const recordVersion = tenant.recordVersion + 1;
  await world.store.save({ ...tenant, work: now, recordVersion }, tenant.recordVersion);
}

test('lends a member an hour of access to what is its own tenant’s', async () => {
  const answer = await ask();
  expect(answer).toMatchObject({
    status: 200,
    body: { accessKeyId: `ASIA-${task.memberName}-1`, secretAccessKey: 'secret', sessionToken: 'token' },
  });
  expect(world.storage.lent).toEqual([{ tenantId: 'acme', borrower: task.memberName, alsoReads: [] }]);
});

test('lends to nobody who is not the task that it says it is', async () => {
  for (const over of [
    { session: 'another' },
    { ip: '10.9.9.9' },
    { memberName: 'mstranger' },
    { tenantId: 'other' },
  ])
    expect(await ask(over)).toMatchObject({ status: 403 });
  expect(world.storage.lent).toEqual([]);
});

test('lends a worker its tenant’s own, and nothing more while its sources are its own', async () => {
  await work();
  expect(await ask({ memberName: 'mworker00' })).toMatchObject({ status: 200 });
  expect(world.storage.lent).toEqual([{ tenantId: 'acme', borrower: 'mworker00', alsoReads: [] }]);
});

test('lets the worker of a clone read the one incarnation that its order names', async () => {
  const source = { ...order.source, key: 'cell-1/other/3/full/x.snap' } as WorkOrder['source'];
  await work({ order: { ...order, source, deltas: { prefix: 'cell-1/other/3/delta/' } } });
  await ask({ memberName: 'mworker00' });
  expect(world.storage.lent).toMatchObject([{ alsoReads: ['cell-1/other/3/'] }]);
});

test('lends nothing to a worker that has not joined', async () => {
  await work({ ip: undefined });
  expect(await ask({ memberName: 'mworker00' })).toMatchObject({ status: 409 });
  expect(await ask({ memberName: 'mworker00', session: 'another' })).toMatchObject({ status: 403 });
});
