import { beforeEach, describe, expect, test } from 'vitest';
import type { HourlyLoad } from '../../lambdas/core/autoscale.ts';
import { ControlPlaneError, TransientError } from '../../lambdas/core/errors.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { adviseTenant } from '../../lambdas/core/size-advice.ts';
import { updateTenant } from '../../lambdas/core/update-tenant.ts';
import { untilHealthy, World } from '../fakes/sim/world.ts';

let world: World;
let cpu: number | undefined;
let asked = 0;
let refusal: Error | undefined;
const record = async () => (await world.store.get('acme'))!;
const change = async (mutate: (tenant: TenantRecord) => TenantRecord) =>
  updateTenant(world, await record(), mutate);
const hourMs = 3_600_000;
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

const advise = () =>
  adviseTenant(
    {
      ...world,
      store: world.store,
      clock: world.clock,
      ids: world.ids,
      log,
      loads: {
        hours: async (_tenantId, from, to) => {
          asked += 1;
          if (refusal !== undefined) throw refusal;
          const load: HourlyLoad[] = [];
          for (let at = from.getTime(); at < to.getTime(); at += hourMs)
            load.push({ at: new Date(at), cpuPercent: cpu, memoryPercent: 10, dbSizeBytes: 1_000_000 });
          return load;
        },
      },
    },
    'acme',
  );

beforeEach(async () => {
  world = new World();
  world.members.hashAt = (revision) => revision % 1_000;
  [cpu, asked, refusal] = [90, 0, undefined];
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  await world.settle(6 * 3_600);
});

describe('size advice', () => {
  test('is written down for everybody, once an hour, and nothing is done', async () => {
    expect(await advise()).toBe('advised');
    expect((await record()).sizing).toMatchObject({ recommended: 'medium', size: 'small' });
    expect((await record()).sizing?.held).toBeUndefined();
    expect((await record()).operation).toBeUndefined();
    expect(await advise()).toBe('not-due');
    await world.settle(3_700);
    expect(await advise()).toBe('advised');
    expect(asked).toBe(2);
  });

  test('says so when there are no figures', async () => {
    cpu = undefined;
    await advise();
    expect((await record()).sizing?.recommended).toBeUndefined();
    expect((await record()).sizing?.reason).toMatch(/no figures/);
  });

  test('says so when CloudWatch refuses to tell, whatever was advised before, and does nothing', async () => {
    await change((tenant) => ({
      ...tenant,
      paused: { since: world.clock.now().toISOString(), by: 'me', reason: 'looking' },
      spec: { ...tenant.spec, autoscale: { min: 'micro', max: 'large' } },
    }));
    await advise();
    await change(({ paused: _paused, ...tenant }) => tenant);
    await world.settle(3_700);
    refusal = new ControlPlaneError('access-denied', 'The role may not.');
    expect(await advise()).toBe('advised');
    const { sizing, operation, spec } = await record();
    expect(sizing?.recommended).toBeUndefined();
    expect(sizing?.reason).toMatch(/refuses to tell what is used \(access-denied\)/);
    expect([operation, spec.size]).toEqual([undefined, 'small']);
  });

  test('is asked for again by the queue when CloudWatch does not answer for a moment', async () => {
    refusal = new TransientError('throttled');
    await expect(advise()).rejects.toThrow('throttled');
    expect((await record()).sizing).toBeUndefined();
    refusal = undefined;
    expect(await advise()).toBe('advised');
  });

  test('becomes an ordinary resize where autoscale is on, and every member gets the new size', async () => {
    await change((tenant) => ({
      ...tenant,
      spec: { ...tenant.spec, autoscale: { min: 'micro', max: 'large' } },
    }));
    expect(await advise()).toBe('resizing');
    const { operation } = await record();
    expect(operation?.kind).toBe('resize');
    expect((await world.store.getOperation('acme', operation!.operationId))?.message).toMatch(
      /Autoscale: size small → medium: above 75 %/,
    );
    // Nobody sends a look: the sweep finds it by itself.
    expect(await untilHealthy(world, 'acme', 1_800)).toBe(true);
    const { members, spec, sizing } = await record();
    expect(spec.size).toBe('medium');
    expect(Object.values(members).map((member) => member.made?.size)).toEqual(['medium', 'medium', 'medium']);
    expect(sizing?.changedAt).toBeDefined();
    // Its figures of before do not count, and the cool-down holds whatever comes next.
    await world.settle(4 * 3_600);
    expect(await advise()).toBe('advised');
    expect((await record()).sizing?.held).toMatch(/less than 6 hours/);
  });

  test('that is asked for in the middle of a resize is none, and what was used before it never counts for the new size', async () => {
    await change((tenant) => ({
      ...tenant,
      spec: { ...tenant.spec, autoscale: { min: 'micro', max: 'large' } },
    }));
    expect(await advise()).toBe('resizing');
    const { changedAt } = (await record()).sizing!;
    await world.settle(60);
    expect(await advise()).toBe('advised');
    expect(asked).toBe(1);
    const { sizing } = await record();
    expect(sizing?.recommended).toBeUndefined();
    expect(sizing?.reason).toMatch(/are being given the size medium/);
    expect(await untilHealthy(world, 'acme', 1_800)).toBe(true);
    await world.settle(2 * 3_600);
    expect(await advise()).toBe('advised');
    const later = (await record()).sizing!;
    expect(later.since > changedAt!).toBe(true);
    // Two hours of the new size are no three, and no day.
    expect(later.recommended).toBe('medium');
  });

  test('does not begin while the tenant is busy, and says what it waits for', async () => {
    const paused = { since: world.clock.now().toISOString(), by: 'me', reason: 'looking' };
    await change((tenant) => ({
      ...tenant,
      paused,
      spec: { ...tenant.spec, autoscale: { min: 'micro', max: 'large' } },
    }));
    expect(await advise()).toBe('advised');
    expect((await record()).sizing).toMatchObject({
      recommended: 'medium',
      held: 'the tenant is busy or not well',
    });
  });
});
