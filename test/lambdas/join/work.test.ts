import { beforeEach, describe, expect, test } from 'vitest';
import type { TenantRecord, Work } from '../../../lambdas/core/model/tenant.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import type { WorkProgress } from '../../../lambdas/core/wire/work.ts';
import { problemsOf, simCell, World } from '../../fakes/sim/world.ts';

const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };
const name = 'mworker00';

let world: World;
let caller: { session: string; sourceIp: string };

const change = (mutate: (tenant: TenantRecord) => TenantRecord) =>
  world.store.get('acme').then((tenant) => updateTenant(world, tenant!, mutate));
const workNow = async (): Promise<Work | undefined> => (await world.store.get('acme'))!.work;
const join = (as = caller) =>
  world.callJoin('join', { tenantId: 'acme', memberName: name, csrs, hasData: false }, as);
const tell = (progress: WorkProgress, orderId = 'order-1', as = caller) =>
  world.callJoin('work', { tenantId: 'acme', memberName: name, orderId, progress }, as);
const done: WorkProgress = {
  state: 'done',
  result: { revision: 9, keys: 1, hash: 1, compactRevision: 0, replayed: 0, leases: 0, seconds: 1 },
};

beforeEach(async () => {
  world = new World();
  await world.createTenant('acme');
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0);
  // The task is here, its nanny is this test.
  world.ecs.onRunning = () => undefined;
  const { taskArn } = await world.ecs.launch({
    cell: simCell,
    tenantId: 'acme',
    memberName: name,
    zone: 'us-east-1a',
    size: 'micro',
    storageGiB: 21,
    volume: 'ephemeral',
    work: {},
  });
  await world.settle(2);
  caller = { session: taskArn.split('/').at(-1)!, sourceIp: world.ecs.tasks.get(taskArn)!.ip };
  const work: Work = {
    name,
    purpose: 'drill',
    attempt: 1,
    order: {
      orderId: 'order-1',
      bucket: 'backups',
      etcdVersion: '3.6.16',
      source: { kind: 'full', key: 'k', sha256: 's', bytes: 1, revision: 9 },
    },
    zone: 'us-east-1a',
    requestedAt: world.clock.now().toISOString(),
    taskArn,
    launchedAt: world.clock.now().toISOString(),
  };
  const drill = { worker: name, backupId: 'b', revision: 9, hash: 1, witness: 'mabcdefgh' };
  await change((tenant) => ({ ...tenant, work, backups: { ...tenant.backups, drill } }));
});

describe('a worker that joins', () => {
  test('gets its order and certificates, and its address is known from then on', async () => {
    expect(await join()).toMatchObject({
      status: 200,
      body: { answer: 'work', order: { orderId: 'order-1' }, certificates: { caBundle: expect.any(String) } },
    });
    expect((await workNow())?.ip).toBe(caller.sourceIp);
  });

  test('is another task than the recorded one: no certificate', async () => {
    const [member] = Object.values((await world.store.get('acme'))!.members);
    const other = (member as { taskArn: string }).taskArn.split('/').at(-1)!;
    expect((await join({ ...caller, session: other })).status).toBe(403);
    expect((await join({ ...caller, sourceIp: '10.9.9.9' })).status).toBe(403);
    expect((await workNow())?.ip).toBeUndefined();
  });

  test('whose launch is not recorded yet waits', async () => {
    await change(({ work, ...tenant }) => {
      const { taskArn: _, ...rest } = work!;
      return { ...tenant, work: rest };
    });
    expect((await join()).body).toMatchObject({ answer: 'wait' });
  });

  test('after its work has ended, or when nobody wants it any more, leaves', async () => {
    await join();
    await tell(done);
    expect((await join()).body).toMatchObject({ answer: 'leave' });
    await change(({ work: _, ...tenant }) => tenant);
    expect((await join()).body).toMatchObject({ answer: 'leave' });
  });
});

describe('a worker that tells how far it is', () => {
  const running = (bytes: number): WorkProgress => ({ state: 'running', phase: 'downloading', bytes });

  test('is written down, within a phase each two seconds only', async () => {
    await join();
    expect((await tell(running(1))).body).toEqual({ leave: false });
    expect((await workNow())?.progress).toMatchObject({ bytes: 1 });
    await tell(running(2));
    expect((await workNow())?.progress).toMatchObject({ bytes: 1 });
    await world.settle(90);
    await tell(running(3));
    expect((await workNow())?.progress).toMatchObject({ bytes: 3 });
  });

  test('may leave once its last word is stored, and that word stays', async () => {
    await join();
    const looks = world.messagesSent;
    expect((await tell(done)).body).toEqual({ leave: true });
    expect(world.messagesSent).toBeGreaterThan(looks);
    expect((await tell({ state: 'failed', code: 'passing', problem: 'late' })).body).toEqual({ leave: true });
    expect((await workNow())?.progress).toEqual(done);
  });

  test('of an order that is over leaves, and one that has not joined is refused', async () => {
    expect((await tell(done)).status).toBe(409);
    await join();
    expect((await tell(done, 'order-0')).body).toEqual({ leave: true });
    expect((await workNow())?.progress).toBeUndefined();
    expect((await tell(done, 'order-1', { ...caller, sourceIp: '10.9.9.9' })).status).toBe(403);
  });
});
