import { expect, test } from 'vitest';
import { TransientError } from '../../lambdas/core/errors.ts';
import { type ReconcileDeps, reconcile, type Work } from '../../lambdas/core/reconcile.ts';
import { FakeDispatcher } from '../fakes/fake-dispatcher.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { newTenant } from '../fakes/sim/tenants.ts';

test('a fault that has cost the lease as well is no failed look: the new holder goes on', async () => {
  const now = new Date('2026-01-01T00:00:00Z');
  const store = new InMemoryTenantStore();
  await store.create(newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record);
  const dispatcher = new FakeDispatcher();
  const deps = {
    store,
    dispatcher,
    // Heartbeats sleep for ever.
    clock: { now: () => now, sleep: () => new Promise<void>(() => undefined) },
    ids: { ulid: () => 'us', memberName: () => 'm00000000', clusterToken: () => 't' },
    log: { info() {}, warn() {}, error() {} },
  } as unknown as ReconcileDeps;
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
