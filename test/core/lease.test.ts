import { beforeEach, expect, test } from 'vitest';
import { LeaseLostError } from '../../lambdas/core/errors.ts';
import { acquire, leaseMs } from '../../lambdas/core/lease.ts';
import { updateTenant } from '../../lambdas/core/update-tenant.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { newTenant } from '../fakes/sim/tenants.ts';
import { VirtualClock } from '../fakes/sim/virtual-clock.ts';

let now: number;
let store: InMemoryTenantStore;
const clock = {
  now: () => new Date(now),
  // Heartbeats sleep for ever here; the other tests turn the hands themselves.
  sleep: (ms: number) => (ms >= 1_000 ? new Promise<void>(() => undefined) : Promise.resolve()),
};
const take = async (holder: string) => {
  const acquired = await acquire({ store, clock }, 'acme', holder, 'create');
  if (acquired.kind !== 'held') throw new Error(acquired.kind);
  return acquired.held;
};
const record = async () => (await store.get('acme'))!;

beforeEach(async () => {
  now = Date.parse('2026-01-01T00:00:00Z');
  store = new InMemoryTenantStore();
  await store.create(newTenant('acme', new Date(now), { ulid: () => 'op', clusterToken: () => 't' }).record);
});

test('one holder at a time; the fence grows with every new one', async () => {
  const first = await take('a');
  expect(await acquire({ store, clock }, 'acme', 'b', 'create')).toMatchObject({ kind: 'busy' });
  await first.release(new Date(now));
  const second = await take('b');
  expect(second.fence).toBeGreaterThan(first.fence);
});

test('a tenant that is gone or another function’s duty is not leased', async () => {
  expect(await acquire({ store, clock }, 'other', 'a', 'create')).toEqual({ kind: 'gone' });
  expect(await acquire({ store, clock }, 'acme', 'a', 'sweep')).toEqual({
    kind: 'other-duty',
    duty: 'create',
  });
});

test('a dead holder’s lease runs out, and the sweep finds the tenant right then', async () => {
  await take('a');
  expect((await record()).nextCheckAt).toBe(new Date(now + leaseMs).toISOString());
  now += leaseMs;
  await take('b');
});

test('whoever lost the lease saves, releases and removes nothing any more', async () => {
  const slow = await take('a');
  now += leaseMs;
  const quick = await take('b');
  await expect(slow.save((tenant) => ({ ...tenant, highestRevision: 7 }))).rejects.toThrow(LeaseLostError);
  await expect(slow.release(new Date(now))).rejects.toThrow(LeaseLostError);
  await expect(slow.remove()).rejects.toThrow(LeaseLostError);
  expect((await record()).highestRevision).toBe(0);
  expect((await record()).lease?.fence).toBe(quick.fence);
});

test('a save that meets another writer is applied to the newest record', async () => {
  const held = await take('a');
  await updateTenant({ store, clock }, await record(), (tenant) => ({ ...tenant, highestRevision: 7 }));
  expect(await held.save((tenant) => ({ ...tenant, generation: 2 }))).toBe(true);
  expect(await record()).toMatchObject({ highestRevision: 7, generation: 2 });
});

test('nothing is saved once the tenant became another function’s duty, except what only records what exists', async () => {
  const held = await take('a');
  await updateTenant({ store, clock }, await record(), (tenant) => ({
    ...tenant,
    status: { phase: 'deleting', conditions: [], since: tenant.createdAt },
  }));
  expect(await held.save((tenant) => ({ ...tenant, generation: 2 }))).toBe(false);
  expect(await held.save((tenant) => ({ ...tenant, nameServiceId: 's' }), { anyDuty: true })).toBe(true);
  expect(await record()).toMatchObject({ generation: 1, nameServiceId: 's' });
});

test('a holder that lives keeps its lease by heartbeat, until it gives it back', async () => {
  const clock = new VirtualClock(now);
  const acquired = await acquire({ store, clock }, 'acme', 'a', 'create');
  if (acquired.kind !== 'held') throw new Error(acquired.kind);
  for (let second = 0; second < 60; second++) await clock.step(clock.now().getTime() + 1_000);
  expect(clock.now().getTime() - now).toBeGreaterThan(3 * leaseMs);
  expect(Date.parse((await record()).lease!.expiresAt)).toBeGreaterThan(clock.now().getTime());
  await acquired.held.release(clock.now());
  for (let second = 0; second < 5; second++) await clock.step(clock.now().getTime() + 2_000);
  expect((await record()).lease).toBeUndefined();
  expect(await clock.step(clock.now().getTime() + 60_000)).toBe(false);
});

test('twelve writers at once all get through', async () => {
  const known = await record();
  const writers = Array.from({ length: 12 }, (_, index) =>
    updateTenant({ store, clock }, known, (tenant) => ({
      ...tenant,
      highestRevision: tenant.highestRevision + index + 1,
    })),
  );
  await Promise.all(writers);
  expect((await record()).highestRevision).toBe(78);
});
