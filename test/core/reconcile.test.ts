import { expect, test } from 'vitest';
import { TransientError } from '../../lambdas/core/errors.ts';
import type { FleetFigures } from '../../lambdas/core/metrics.ts';
import { type ReconcileDeps, reconcile, type Work } from '../../lambdas/core/reconcile.ts';
import type { Decision, Step } from '../../lambdas/core/step.ts';
import { FakeDispatcher } from '../fakes/fake-dispatcher.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { newTenant } from '../fakes/sim/tenants.ts';

const depsOf = (over: object): ReconcileDeps =>
  ({
    dispatcher: new FakeDispatcher(),
    cell: { subnets: [] },
    ids: { ulid: () => 'us', memberName: () => 'm00000000', clusterToken: () => 't' },
    log: { info() {}, warn() {}, error() {} },
    ...over,
  }) as unknown as ReconcileDeps;

test('a fault that has cost the lease as well is no failed look: the new holder goes on', async () => {
  const now = new Date('2026-01-01T00:00:00Z');
  const store = new InMemoryTenantStore();
  await store.create(newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record);
  const dispatcher = new FakeDispatcher();
  const deps = depsOf({
    store,
    dispatcher,
    // Heartbeats sleep for ever.
    clock: { now: () => now, sleep: () => new Promise<void>(() => undefined) },
  });
  const work: Work = {
    duty: 'create',
    observer: () => ({
      forget() {},
      async observe() {
        const stored = (await store.get('acme'))!;
        const lease = { ...stored.lease!, holder: 'somebody else', fence: stored.fence + 1 };
        await store.save(
          { ...stored, lease, fence: lease.fence, recordVersion: stored.recordVersion + 1 },
          stored.recordVersion,
        );
        throw new TransientError('dynamodb:GetItem did not answer in time');
      },
    }),
    plan: () => {
      throw new Error('nothing was observed');
    },
    performers: {} as Work['performers'],
  };
  expect(await reconcile(deps, work, 'acme', new Date(now.getTime() + 60_000))).toBe('taken-over');
  expect((await store.get('acme'))!.lease!.holder).toBe('somebody else');
});

/** Work beside the others on a tenant whose record has an operation `backup`, or none yet. */
async function beside(plan: Work['plan'], begun = true) {
  const now = new Date('2026-01-01T00:00:00Z');
  const store = new InMemoryTenantStore();
  const { record, operation } = newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' });
  const { operation: _none, ...idle } = record;
  await store.create(begun ? { ...record, operation: { operationId: 'op', kind: 'backup' } } : idle);
  await store.putOperation({ ...operation, kind: 'backup' });
  const dispatcher = new FakeDispatcher();
  const counted: FleetFigures[] = [];
  const deps = depsOf({
    store,
    dispatcher,
    metrics: { tenant() {}, fleet: (figures: FleetFigures) => void counted.push(figures) },
    clock: { now: () => now, sleep: async () => undefined },
  });
  const work: Work = {
    duty: 'backup',
    beside: { mayWork: () => true, withFailure: (tenant) => tenant, failure: () => undefined },
    observer: () => ({
      forget() {},
      observe: async () => ({ tasks: {}, gone: [], names: [], nannies: {} }) as never,
    }),
    plan,
    performers: {
      // Somebody asks for a backup just then.
      'want-backup': async () => ({
        message: '',
        mutate: (tenant) => ({ ...tenant, operation: { operationId: 'op', kind: 'backup' } }),
      }),
    },
  };
  const look = () => reconcile(deps, work, 'acme', new Date(now.getTime() + 60_000));
  return { store, dispatcher, counted, look };
}

const close: Decision = { kind: 'step', step: { kind: 'close-operation', message: 'taken' } };

test('who works beside the others looks again when an operation has ended: it is not all there is to do', async () => {
  const { dispatcher, look } = await beside(() => close);
  expect(await look()).toBe('done');
  expect(dispatcher.sent).toMatchObject([{ tenantId: 'acme', duty: 'backup' }]);
});

test('an operation that has failed counts once, however many looks beside each other end it', async () => {
  const failed: Decision = { kind: 'step', step: { kind: 'close-operation', failed: true, message: 'torn' } };
  const { store, counted, look } = await beside(() => failed);
  await Promise.all([look(), look(), look()]);
  expect(await store.getOperation('acme', 'op')).toMatchObject({ state: 'failed', message: 'torn' });
  expect(counted.filter(({ OperationsFailed }) => OperationsFailed !== undefined)).toEqual([
    { OperationsFailed: 1 },
  ]);
});

test('an operation that comes while somebody works beside the others is ended as an operation, not only on the record', async () => {
  const want: Decision = {
    kind: 'step',
    step: { kind: 'want-backup', reason: 'on-demand', operationId: 'op' },
  };
  const { store, dispatcher, look } = await beside(
    ({ operation }) => (operation === undefined ? want : close),
    false,
  );
  await look();
  expect((await store.get('acme'))?.operation).toBeDefined();
  expect(dispatcher.sent).toHaveLength(1);
  await look();
  expect((await store.get('acme'))?.operation).toBeUndefined();
  expect(await store.getOperation('acme', 'op')).toMatchObject({ state: 'succeeded', message: 'taken' });
});

test('two steps that undo each other are not taken as fast as calls go', async () => {
  const now = new Date('2026-01-01T00:00:00Z');
  let ms = now.getTime();
  const store = new InMemoryTenantStore();
  await store.create(newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record);
  const dispatcher = new FakeDispatcher();
  const taken: string[] = [];
  const deps = depsOf({
    store,
    dispatcher,
    clock: {
      now: () => new Date(ms),
      sleep: async (some: number) => {
        ms += some;
      },
    },
  });
  const take = async ({ kind }: Step) => {
    taken.push(kind);
    return { message: kind };
  };
  const work: Work = {
    duty: 'create',
    observer: () => ({
      forget() {},
      observe: async () => ({ tasks: {}, gone: [], names: [], nannies: {} }) as never,
    }),
    plan: () => ({
      kind: 'step',
      step: { kind: taken.length % 2 === 0 ? 'register-names' : 'deregister-names', members: ['m00000001'] },
    }),
    performers: { 'register-names': take, 'deregister-names': take },
  };
  expect(await reconcile(deps, work, 'acme', new Date(ms + 60_000))).toBe('waiting');
  // Twice at once, then as often as one look polls.
  expect(taken.length).toBeLessThanOrEqual(2 + 3_000 / 150);
  expect(dispatcher.sent).toEqual([{ tenantId: 'acme', duty: 'create', delaySeconds: 1 }]);
});

/** One look that waits, `atMs` from its beginning something is written into the record; how often nannies were asked until then. */
async function awaiting(soon: true | 'record', atMs: number) {
  const start = new Date('2026-01-01T00:00:00Z').getTime();
  let ms = start;
  const store = new InMemoryTenantStore();
  await store.create(
    newTenant('acme', new Date(start), { ulid: () => 'op', clusterToken: () => 't' }).record,
  );
  let written = false;
  let observed = 0;
  const deps = depsOf({
    store,
    clock: {
      now: () => new Date(ms),
      sleep: async (some: number) => {
        // Heartbeats keep out of it.
        if (some >= 1_000) return await new Promise<void>(() => undefined);
        ms += some;
        if (written || ms - start < atMs) return;
        written = true;
        const stored = (await store.get('acme'))!;
        const next = { ...stored, highestRevision: 7, recordVersion: stored.recordVersion + 1 };
        await store.save(next, stored.recordVersion);
      },
    },
  });
  const work: Work = {
    duty: 'create',
    observer: () => ({
      forget() {},
      async observe() {
        observed += 1;
        return { tasks: {}, names: [], nannies: {} };
      },
    }),
    plan: (tenant) =>
      tenant.highestRevision === 7
        ? { kind: 'done' }
        : { kind: 'wait', name: 'wait-for-members', reason: 'not yet', recheckSeconds: 5, soon },
    performers: {} as Work['performers'],
  };
  expect(await reconcile(deps, work, 'acme', new Date(start + 60_000))).toBe('done');
  return { lateMs: ms - start - atMs, observed };
}

test('a look that waits for news in the record goes on as soon as it is there, however long it has waited', async () => {
  expect((await awaiting('record', 1_310)).lateMs).toBeLessThan(40);
  expect((await awaiting(true, 1_310)).lateMs).toBeLessThanOrEqual(200);
});

test('nannies are not asked for what can only be read in the record', async () => {
  expect((await awaiting('record', 150)).observed).toBe(2);
  expect((await awaiting(true, 150)).observed).toBeGreaterThan(2);
});
