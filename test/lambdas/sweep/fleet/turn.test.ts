import { expect, test } from 'vitest';
import { firstRollout } from '../../../../lambdas/core/model/rollout.ts';
import { versionGate as gate } from '../../../../lambdas/patch/gate.ts';
import { serveFleet } from '../../../../lambdas/sweep/fleet/turn.ts';
import { created } from '../../scale/support.ts';

const rolloutOf = (now: Date, canary: string[] = []) => ({
  ...firstRollout({
    rolloutId: '01ROLLOUT',
    version: '3.6.16',
    requestedBy: 'arn:aws:iam::1:user/ops',
    createdAt: now.toISOString(),
    canary,
    bakeMinutes: 0,
    events: [],
  }),
  recordVersion: 1,
});

test('a whole fleet is brought to a release by ordinary patch operations, and says so', async () => {
  const world = await created({}, { version: '3.6.14' });
  const { store, clock, dispatcher, ids } = world;
  await store.saveRollout(rolloutOf(clock.now(), ['acme']), 0);
  const log = { info() {}, warn() {}, error() {} };
  const deps = { cell: { id: 'cell-1' }, store, clock, dispatcher, ids, log, gate };
  const serving = serveFleet(deps, new Date(clock.now().getTime() + 600_000));
  await world.until(async () => (await store.getRollout())?.state === 'done', 500);
  expect(await store.getRollout()).toMatchObject({ state: 'done', patched: 1, patching: [], held: [] });
  await world.settle(10);
  await serving;
  const { items } = await store.listOperations('acme', { limit: 10 });
  expect(items[0]).toMatchObject({
    kind: 'patch',
    state: 'succeeded',
    requestedBy: 'arn:aws:iam::1:user/ops',
  });
  const members = Object.values((await store.get('acme'))!.members);
  expect(members.map(({ made }) => made?.version)).toEqual(['3.6.16', '3.6.16', '3.6.16']);
});

test('two that take turns at the same time do not start a tenant twice', async () => {
  const world = await created({}, { version: '3.6.14' });
  const { store, clock, dispatcher, ids } = world;
  await store.saveRollout(rolloutOf(clock.now(), ['acme']), 0);
  const log = { info() {}, warn() {}, error() {} };
  const deps = { cell: { id: 'cell-1' }, store, clock, dispatcher, ids, log, gate };
  const deadline = new Date(clock.now().getTime() + 600_000);
  const serving = [serveFleet(deps, deadline), serveFleet(deps, deadline)];
  await world.until(async () => (await store.getRollout())?.state === 'done', 500);
  expect(await store.getRollout()).toMatchObject({ state: 'done', patched: 1 });
  await world.settle(10);
  await Promise.all(serving);
  const { items } = await store.listOperations('acme', { limit: 10 });
  expect(items.filter(({ kind }) => kind === 'patch')).toHaveLength(1);
});
