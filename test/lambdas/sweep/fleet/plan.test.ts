import { describe, expect, test } from 'vitest';
import { aheadInWave } from '../../../../lambdas/core/fleet-order.ts';
import { firstRollout, type Rollout } from '../../../../lambdas/core/model/rollout.ts';
import type { TenantRecord } from '../../../../lambdas/core/model/tenant.ts';
import { versionGate as gate } from '../../../../lambdas/patch/gate.ts';
import { type FleetView, parallel, planFleet, readsFor } from '../../../../lambdas/sweep/fleet/plan.ts';
import { formed } from '../../../fakes/sim/formed.ts';

const now = new Date('2026-11-22T12:00:00.000Z');
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000);

const rollout = (more: Partial<Rollout> = {}): Rollout => ({
  ...firstRollout({
    rolloutId: '01ROLLOUT',
    version: '3.6.16',
    requestedBy: 'arn:aws:iam::1:user/ops',
    createdAt: now.toISOString(),
    canary: [],
    bakeMinutes: 30,
    events: [],
  }),
  recordVersion: 1,
  ...more,
});

const formedTenant = (tenantId: string, version: string): TenantRecord => {
  const { tenant } = formed([{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }], { spec: { version } });
  return { ...tenant, tenantId };
};

/** A fleet in memory: every tenant that is started is patched by `end`. */
function fleet(ids: readonly string[], version = '3.6.14') {
  const tenants = new Map<string, TenantRecord>(ids.map((id) => [id, formedTenant(id, version)]));
  let sick: FleetView['sick'] = [];
  const change = (id: string, mutate: (tenant: TenantRecord) => TenantRecord) =>
    void tenants.set(id, mutate(tenants.get(id)!));
  return {
    change,
    sicken(id: string, at: Date) {
      sick = [...sick, { tenantId: id, since: at.toISOString() }];
      change(id, (tenant) => ({
        ...tenant,
        status: { phase: 'degraded', conditions: [], since: at.toISOString(), reason: 'a member is gone' },
      }));
    },
    start(id: string) {
      change(id, (tenant) => ({
        ...tenant,
        spec: { ...tenant.spec, version: '3.6.16' },
        operation: { operationId: 'op', kind: 'patch' },
      }));
    },
    end(id: string) {
      change(id, ({ operation: _, ...tenant }) => ({
        ...tenant,
        spec: { ...tenant.spec, version: '3.6.16' },
      }));
    },
    turn(of: Rollout, at = now) {
      const view = { tenantIds: ids, sick };
      const seen = new Map(readsFor(of, view).map((id) => [id, tenants.get(id)]));
      return planFleet(of, { ...view, tenants: seen }, gate, at);
    },
  };
}
const ids = (count: number) => Array.from({ length: count }, (_, index) => `tenant-${index}`);

describe('waves', () => {
  test('canaries first, then 1 %, 10 % and all of the others, everybody once', () => {
    const all = ids(500);
    const at = (wave: number) => aheadInWave(rollout({ wave, canary: ['tenant-7', 'tenant-3'] }), all);
    expect(at(0)).toEqual(['tenant-7', 'tenant-3']);
    expect([0, 1, 2, 3].map((wave) => at(wave).length)).toEqual([2, 2 + 5, 2 + 50, 500]);
    expect(at(2).slice(0, 7)).toEqual(at(1));
    expect(new Set(at(3)).size).toBe(500);
    const other = aheadInWave(rollout({ rolloutId: '01OTHER', wave: 1 }), all);
    expect(other).not.toEqual(aheadInWave(rollout({ wave: 1 }), all));
  });

  test('the next wave begins when all of this one are patched and were watched for the bake time', () => {
    const world = fleet(ids(20));
    let is = rollout({ canary: ['tenant-4'] });
    let turn = world.turn(is);
    expect(turn.start).toEqual(['tenant-4']);
    is = turn.rollout;
    world.start('tenant-4');
    turn = world.turn(is);
    expect(turn).toMatchObject({ start: [], rollout: { wave: 0, patching: [{ tenantId: 'tenant-4' }] } });
    world.end('tenant-4');
    is = world.turn(is).rollout;
    expect(is).toMatchObject({ wave: 0, patched: 1, patching: [], bakingSince: now.toISOString() });
    is = world.turn(is, later(29)).rollout;
    expect(is.wave).toBe(0);
    is = world.turn(is, later(30)).rollout;
    expect(is).toMatchObject({ wave: 1, patchedInWave: 0 });
    expect(is.bakingSince).toBeUndefined();
    expect(world.turn(is, later(30)).start).toHaveLength(1);
  });

  test('everybody is patched in the end, never more than a few at once, and it says so', () => {
    const world = fleet(ids(40));
    let is = rollout({ bakeMinutes: 0 });
    const started: string[] = [];
    for (let minute = 0; is.state === 'running'; minute += 1) {
      if (minute > 200) throw new Error(JSON.stringify(is));
      const turn = world.turn(is, later(minute));
      is = turn.rollout;
      started.push(...turn.start);
      expect(is.patching.length).toBeLessThanOrEqual(parallel);
      for (const id of turn.start) world.end(id);
    }
    expect(started.sort()).toEqual(ids(40).sort());
    expect(is).toMatchObject({ state: 'done', patched: 40, passedOver: 0, held: [] });
    expect(is.events.at(-1)?.message).toBe('Done: 40 tenants patched, 0 passed over.');
  });

  test('whoever was started but not given the patch, because of a crash, is started again', () => {
    const world = fleet(ids(3));
    const { rollout: is } = world.turn(rollout({ canary: ['tenant-0'] }));
    expect(world.turn(is).start).toEqual(['tenant-0']);
  });
});

describe('tenants', () => {
  test('of another minor, of this or a newer release are passed over', () => {
    const world = fleet(['old', 'there', 'newer']);
    world.change('old', (tenant) => ({ ...tenant, spec: { ...tenant.spec, version: '3.5.35' } }));
    world.end('there');
    world.change('newer', (tenant) => ({ ...tenant, spec: { ...tenant.spec, version: '3.6.99' } }));
    let is = rollout({ wave: 3 });
    for (let turns = 0; turns < 3; turns += 1) is = world.turn(is).rollout;
    expect(is).toMatchObject({ state: 'done', patched: 0, passedOver: 3 });
  });

  test('outside of their window, paused, or busy are held and taken up when they can be', () => {
    const world = fleet(['calm', 'paused', 'windowed', 'busy']);
    const since = now.toISOString();
    world.change('paused', (tenant) => ({ ...tenant, paused: { since, by: 'me', reason: 'x' } }));
    const maintenanceWindow = { days: ['sun' as const], start: '13:00', minutes: 60 };
    world.change('windowed', (tenant) => ({ ...tenant, spec: { ...tenant.spec, maintenanceWindow } }));
    world.change('busy', (tenant) => ({ ...tenant, operation: { operationId: 'o', kind: 'scale' } }));
    let turn = world.turn(rollout({ wave: 3 }));
    expect(turn.start).toEqual(['calm']);
    const reasons = Object.fromEntries(turn.rollout.held.map(({ tenantId, reason }) => [tenantId, reason]));
    expect(reasons).toEqual({
      paused: 'its automation is paused',
      windowed: 'its window opens at 2026-11-22T13:00:00.000Z',
      busy: 'a scale is under way',
    });
    world.end('calm');
    turn = world.turn(turn.rollout, later(1));
    expect(turn.rollout.state).toBe('running');
    world.change('paused', ({ paused: _, ...tenant }) => tenant);
    turn = world.turn(turn.rollout, later(60));
    expect([...turn.start].sort()).toEqual(['paused', 'windowed']);
    expect(turn.rollout.held.map(({ tenantId }) => tenantId)).toEqual(['busy']);
  });

  test('a wave of which nobody could be patched shows nothing: the next one waits', () => {
    const world = fleet(['canary', 'other']);
    const since = now.toISOString();
    world.change('canary', (tenant) => ({ ...tenant, paused: { since, by: 'me', reason: 'x' } }));
    let is = rollout({ canary: ['canary'], bakeMinutes: 0 });
    for (let turns = 0; turns < 5; turns += 1) is = world.turn(is, later(turns * 60)).rollout;
    expect(is).toMatchObject({ state: 'running', wave: 0, held: [{ tenantId: 'canary' }] });
  });
});

describe('it stops by itself', () => {
  test('when a tenant that it is patching is not well', () => {
    const world = fleet(ids(3));
    const { rollout: is } = world.turn(rollout({ canary: ['tenant-1'] }));
    world.start('tenant-1');
    world.sicken('tenant-1', later(1));
    const turn = world.turn(is, later(1));
    expect(turn).toMatchObject({ start: [], rollout: { state: 'stopped', stopped: { by: 'etcd-nanny' } } });
    expect(turn.stops).toBe('tenant-1 is not well: it is degraded: a member is gone');
  });

  test('when one that it has patched turns sick while its wave is watched', () => {
    const world = fleet(ids(3));
    let { rollout: is } = world.turn(rollout({ canary: ['tenant-1'] }));
    world.end('tenant-1');
    is = world.turn(is, later(1)).rollout;
    expect(is.bakingSince).toBeDefined();
    world.sicken('tenant-1', later(5));
    expect(world.turn(is, later(6)).stops).toMatch(/tenant-1, which runs 3\.6\.16, is not well/);
  });

  test('not when one is sick that it has not come to, or was before it began: that one is held', () => {
    const world = fleet(ids(3));
    world.sicken('tenant-2', later(-10));
    let is = rollout({ wave: 3 });
    is = world.turn(is).rollout;
    expect(is).toMatchObject({ state: 'running', held: [{ tenantId: 'tenant-2' }] });
    for (const id of ['tenant-0', 'tenant-1']) world.end(id);
    expect(world.turn(is, later(1)).rollout).toMatchObject({ state: 'running', patched: 2 });
  });

  test('when a patch does not end', () => {
    const world = fleet(ids(3));
    const { rollout: is } = world.turn(rollout({ canary: ['tenant-1'] }));
    world.start('tenant-1');
    expect(world.turn(is, later(59)).stops).toBeUndefined();
    expect(world.turn(is, later(61)).stops).toBe('the patch of tenant-1 has not ended within 60 minutes');
  });
});
