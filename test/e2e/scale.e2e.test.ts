import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import {
  expectHealedFirst,
  expectNoFailedNewcomer,
  namesOf,
  operating,
  zonesOf,
} from './support/operating.ts';
import { type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { until } from './support/until.ts';

const [grower, shaper] = ['grower', 'shaper'];

let cloud: TestCloud;
let times: RecoveryTimes<'scale'>;
beforeAll(async () => {
  cloud = await testCloud();
  times = recoveryTimes(cloud, 'scale');
  await Promise.all([cloud.create(grower, { members: 1 }), cloud.create(shaper)]);
});
afterAll(async () => {
  await cloud?.dispose();
});

describe('members', () => {
  let load: Load;
  beforeAll(async () => {
    load = await startLoad(cloud, grower);
  });
  afterAll(() => load?.stop());

  test.each([
    ['members 1 → 3', 3],
    ['members 3 → 5', 5],
    ['members 5 → 3', 3],
    ['members 3 → 1', 1],
    ['members 1 → 5', 5],
    ['members 5 → 1', 1],
  ] as const)('%s: no write fails, and the zones are even', async (scenario, members) => {
    const ask = () => operating(() => cloud, grower).change({ members });
    const { tenant, lap } = await times.operate({ load, scenario, ask });
    expect(lap.failures).toEqual([]);
    expect(tenant.members).toHaveLength(members);
    const spread = Object.values(zonesOf(tenant));
    expect(spread).toHaveLength(Math.min(members, 3));
    expect(Math.max(...spread) - Math.min(...spread)).toBeLessThanOrEqual(1);
  });

  test('nothing acknowledged was lost on the way, and every read fits one order', async () => {
    await expectNothingLost(load);
    expectNoFailedNewcomer(await operating(() => cloud, grower).lines());
  });
});

describe('three members', () => {
  const { change, command, waitsFor, lines, lose } = operating(() => cloud, shaper);
  let load: Load;
  beforeAll(async () => {
    load = await startLoad(cloud, shaper);
  });
  afterAll(() => load?.stop());

  test('a replacement waits while automation is paused and goes on when it is resumed', async () => {
    const before = await cloud.tenant(shaper);
    const follower = before.members.find(({ isLeader }) => !isLeader)!;
    const pausing = await command('pause', shaper, '--reason', 'a test');
    expect(pausing.tenant.paused).toMatchObject({ reason: 'a test' });
    const path = `/v1/tenants/${shaper}/members/${follower.name}/replace`;
    const { operation } = await cloud.api.call<{ operation: Operation }>({ method: 'POST', path, body: {} });
    await waitsFor(operation, /automation is paused .*: a test/);
    expect(namesOf(await cloud.tenant(shaper))).toEqual(namesOf(before));
    const { tenant, lap } = await times.operate({
      load,
      scenario: 'a follower replaced by request',
      ask: async () => {
        await command('resume', shaper);
        return operation;
      },
    });
    expect(lap.failures).toEqual([]);
    const left = namesOf(before).filter((name) => name !== follower.name);
    expect(namesOf(tenant)).toEqual(expect.arrayContaining(left));
    expect(namesOf(tenant)).not.toContain(follower.name);
    expect(zonesOf(tenant)).toEqual(zonesOf(before));
  });

  test('the leader is replaced: leadership is handed over before it leaves', async () => {
    const before = await cloud.tenant(shaper);
    const leader = before.members.find(({ isLeader }) => isLeader)!;
    const { tenant, lap } = await times.operate({
      load,
      scenario: 'the leader replaced by request',
      ask: async () => (await command('replace', shaper, leader.name)).operation,
    });
    expect(lap.failures).toEqual([]);
    expect(namesOf(tenant)).not.toContain(leader.name);
    expect(zonesOf(tenant)).toEqual(zonesOf(before));
    expect(await lines()).toContainEqual(
      expect.stringContaining(`Leadership handed over from ${leader.name}`),
    );
  });

  test('a resize waits for the maintenance window and says until when; without a window it goes on', async () => {
    const before = await cloud.tenant(shaper);
    // Opens in about three days, whenever this runs.
    const day = new Date(Date.now() + 3 * 86_400_000).toUTCString().slice(0, 3).toLowerCase();
    await change({ maintenanceWindow: { days: [day], start: '03:30', minutes: 60 } });
    const wanted = { size: 'medium', storageGiB: 15, quotaMiB: 1024 };
    const resize = await change(wanted);
    const { message } = await waitsFor(resize, /the maintenance window opens at/);
    expect(message).toContain('T03:30:00.000Z');
    expect(namesOf(await cloud.tenant(shaper))).toEqual(namesOf(before));

    const { tenant, lap } = await times.operate({
      load,
      scenario: 'size, storage and quota of 3 members, one lost with its disk meanwhile',
      ask: async () => {
        await change({ maintenanceWindow: null });
        return resize;
      },
      async meanwhile() {
        // One is replaced by now, the others are old still.
        const lost = await until('the first member to have left', async () => {
          const { members } = await cloud.tenant(shaper);
          const old = members.filter(({ name }) => namesOf(before).includes(name));
          return old.length === 2 && old.find(({ isLeader }) => !isLeader);
        });
        await lose(lost.name);
        victim = lost.name;
      },
    });
    expect(lap.failures).toEqual([]);
    expect(tenant.members.map(({ made }) => made)).toMatchObject(Array(3).fill(wanted));
    expect(namesOf(tenant).filter((name) => namesOf(before).includes(name))).toEqual([]);
    expect(zonesOf(tenant)).toEqual(zonesOf(before));
  });

  let victim: string;
  test('a member lost on the way was repaired first, then the resize went on', async () => {
    expectHealedFirst(await lines(), victim, /^Members wanted/);
  });

  test('nothing acknowledged was lost on the way, and every read fits one order', async () => {
    await expectNothingLost(load);
    expectNoFailedNewcomer(await lines(), [victim]);
  });
});

test('the figures are kept', () => times.finish());
