import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import type { ChaosAction } from '../../local/chaos/actions.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { etcdWitness } from './support/etcd-truth.ts';
import { type Load, startLoad } from './support/load.ts';
import { look } from './support/look.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { calm, type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { runtime } from './support/runtime.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

/** Waits for its zone, as the default is. */
const waits = 'waits';
/** Does not wait: it doubles up as soon as the zone is known to be out. */
const doubles = 'doubles';
const five = 'five';
const unreachableSeconds = 5;
/** A second. Six containers, two clusters' clients and the cloud share this machine's cores. */
const writes = runtime === 'docker' ? 100 : 200;

let cloud: TestCloud;
let times: RecoveryTimes<'remediate-zones'>;
const loads: Load[] = [];
beforeAll(async () => {
  cloud = await testCloud();
  times = recoveryTimes(cloud, 'remediate-zones');
});
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') return;
  return printTimelines(cloud, [waits, doubles, five]);
});
afterAll(async () => {
  for (const load of loads) await load.stop().catch(() => {});
  await cloud?.dispose();
});

const hurt = (action: ChaosAction) => cloud.cloud.hurt.act(action);
const zonesOf = ({ members }: TenantDocument): string[] => members.map(({ zone }) => zone).sort();
const spreadOf = ({ conditions }: TenantDocument) =>
  conditions.find(({ type }) => type === 'SpreadOverZones');
const lines = async (tenantId: string): Promise<string[]> =>
  (await timelineOf(cloud, tenantId)).map(({ message }) => message);
const loadOn = async (tenantId: string, perSecond: number): Promise<Load> => {
  const load = await startLoad(cloud, tenantId, { perSecond });
  loads.push(load);
  return load;
};

describe('a zone is out', () => {
  let zone: string;
  let load: Load;
  let doublingLoad: Load;
  let before: TenantDocument;
  beforeAll(async () => {
    const spec = { unreachableSeconds };
    [before] = await Promise.all([
      cloud.create(waits, spec),
      cloud.create(doubles, { ...spec, zoneOutageHoldMinutes: 0 }),
    ]);
    zone = before.members.find(({ isLeader }) => isLeader)!.zone;
    [load, doublingLoad] = await Promise.all([loadOn(waits, writes), loadOn(doubles, 50)]);
    await Promise.all([load.goesOn(), doublingLoad.goesOn()]);
    await load.lap();
    await hurt({ do: 'cut-zone', zone });
  });
  afterAll(() => hurt({ do: 'heal' }));

  test('three members: still writable, and nobody doubles up within the hold time', async () => {
    await until('the launch of another one to be refused', async () =>
      (await lines(waits)).some((line) => line.includes('Capacity is unavailable')),
    );
    await load.goesOn();
    const tenant = await cloud.tenant(waits);
    expect(tenant.phase).toBe('degraded');
    expect(zonesOf(tenant).filter((each) => each !== zone)).toEqual(
      zonesOf(before).filter((each) => each !== zone),
    );
  });

  test('whose hold is zero doubles up elsewhere, and says that it does', async () => {
    const tenant = await until(
      'three healthy members outside of the zone',
      async () => {
        const now = await cloud.tenant(doubles);
        const all = now.members.filter(({ healthy, role }) => healthy && role === 'voting');
        return all.length === 3 && !zonesOf(now).includes(zone) && now.remediation === null && now;
      },
      { deadlineMs: 120_000 },
    );
    expect(spreadOf(tenant)).toMatchObject({ status: 'False', reason: 'Uneven' });
    expect(await lines(doubles)).toContain(`Nothing can be started in ${zone}.`);
    // Who holds on has not moved meanwhile.
    const wanted = (await lines(waits)).filter((line) => line.startsWith('Members wanted')).slice(1);
    expect(wanted).toEqual([expect.stringContaining(zone)]);
    await Promise.all([load.goesOn(), doublingLoad.goesOn()]);
  });

  test('that is back gets its member again, by itself', async () => {
    const { tenant } = await times.measure({
      load,
      scenario: 'zone back after an outage: spread restored',
      settings: 'within the hold time',
      hurt: () => hurt({ do: 'heal', zone }),
      detects: ({ message }) => message.startsWith('Tasks launched'),
    });
    expect(zonesOf(tenant)).toEqual(zonesOf(before));
    expect(spreadOf(tenant)).toMatchObject({ status: 'True' });
    expect(tenant.clusterId).toBe(before.clusterId);
  });

  test('nothing that was acknowledged is lost, and every answer was linearizable', async () => {
    await Promise.all([expectNothingLost(load), expectNothingLost(doublingLoad)]);
  });
});

describe('five members', () => {
  /** Addresses of members that stood still. */
  const silent: string[] = [];
  /** Two of them at once, or one twice: the retry went to a member that stood still, and waited there until its end. */
  const met = (message: string): boolean => {
    const [retry = ''] = message.split(' (asked at ');
    return retry.includes('DEADLINE_EXCEEDED') && silent.some((ip) => retry.includes(`remote_addr=${ip}:`));
  };
  let load: Load;
  beforeAll(async () => {
    await cloud.create(five, { members: 5, unreachableSeconds });
    load = await loadOn(five, 100);
    await load.goesOn();
  });

  const voters = ({ members }: TenantDocument) =>
    members.filter(({ role, healthy }) => role === 'voting' && healthy);

  test('two of one zone are cut off: writable, and when they are back nobody was replaced', async () => {
    const before = await cloud.tenant(five);
    const zone = zonesOf(before).find((each, index, all) => all.indexOf(each) !== index)!;
    silent.push(...before.members.filter((member) => member.zone === zone).map(({ ip }) => ip!));
    await hurt({ do: 'cut-zone', zone });
    await until('it to say that it holds', async () => {
      const { remediation } = await cloud.tenant(five);
      const { operation } = { operation: remediation?.operationId };
      if (operation === undefined) return false;
      const path = `/v1/tenants/${five}/operations/${operation}`;
      const { message } = await cloud.api.call<{ message: string }>({ method: 'GET', path });
      return message.includes('quorum holds only just');
    });
    await load.goesOn();
    await times.measure({
      load,
      scenario: 'five members, a zone of two back: nobody replaced',
      hurt: () => hurt({ do: 'heal', zone }),
    });
    const after = await cloud.tenant(five);
    expect(after.members.map(({ name }) => name).sort()).toEqual(
      before.members.map(({ name }) => name).sort(),
    );
  });

  type Kind = 'stop' | 'kill' | 'cut';
  /** Each kind follows each kind, itself too, while the one before is being healed. */
  const order: Kind[] = ['stop', 'stop', 'cut', 'cut', 'kill', 'kill', 'stop', 'kill', 'cut', 'stop'];
  const strike: Record<Kind, (member: MemberDocument) => Promise<unknown>> = {
    stop: ({ name }) => hurt({ do: 'stop-task', member: name, hard: true }),
    kill: ({ name }) => hurt({ do: 'corrupt', member: name, what: 'wal' }),
    cut: ({ name, ip }) => {
      silent.push(ip!);
      return hurt({ do: 'cut', member: name });
    },
  };

  test('one fault after the other, each while the one before is being healed: five again, each time', async () => {
    const struck = new Set<string>();
    const witness = await etcdWitness(cloud, five);
    /** As etcd itself says: the record is always a moment behind. */
    const serving = async () => {
      const { members } = await witness.look();
      return members.filter(({ serves }) => serves).map(({ name }) => name);
    };
    const hit = async (kind: Kind) => {
      const well = await until(
        'whoever was struck before to be out, and four others to serve',
        async () => {
          const names = await serving();
          return names.length >= 4 && !names.some((name) => struck.has(name)) && names;
        },
        { deadlineMs: 90_000, everyMs: 100 },
      );
      const { members } = await cloud.tenant(five);
      const possible = members.filter(({ name }) => well.includes(name));
      // Leader and followers in turn.
      const leads = struck.size % 2 === 0;
      const member = possible.find(({ isLeader }) => isLeader === leads) ?? possible[0]!;
      struck.add(member.name);
      // Two leaders lost within a write's first attempt and its retry are more than one retry can get over.
      await load.settles();
      console.log(
        `${new Date().toISOString()} ${kind} ${member.name}${member.isLeader ? ', the leader' : ''}`,
      );
      await strike[kind](member);
    };
    try {
      await times.measure({
        load,
        scenario: 'five members, ten faults, each while the one before is being healed',
        settings: `unreachableSeconds ${unreachableSeconds}`,
        hurt: async () => {
          for (const kind of order) await hit(kind);
        },
        healthy: ({ members }) => members.every(({ name }) => !struck.has(name)),
      });
    } finally {
      witness.close();
    }
    const tenant = await calm(cloud, five);
    expect(voters(tenant)).toHaveLength(5);
    expect(struck.size).toBe(order.length);
    expect(spreadOf(tenant)).toMatchObject({ status: 'True' });
  });

  test('one in a zone that is out and one elsewhere: who is gone for certain goes first, five again when it is back', async () => {
    const before = await cloud.tenant(five);
    const zones = zonesOf(before);
    const zone = zones.find((each) => zones.indexOf(each) === zones.lastIndexOf(each))!;
    const other = before.members.find((member) => member.zone !== zone && !member.isLeader)!;
    await hurt({ do: 'cut-zone', zone });
    await hurt({ do: 'stop-task', member: other.name, hard: true });
    await until(
      'four members outside of the zone',
      async () => voters(await cloud.tenant(five)).filter((member) => member.zone !== zone).length === 4,
      { deadlineMs: 90_000 },
    );
    await load.goesOn();
    await times.measure({
      load,
      scenario: 'five members, a zone of one back after a loss elsewhere',
      hurt: () => hurt({ do: 'heal', zone }),
      detects: ({ message }) => message.startsWith('Tasks launched'),
    });
    expect(zonesOf(await cloud.tenant(five))).toEqual(zones);
  });

  test('nothing that was acknowledged is lost, and every answer was linearizable', async () => {
    await times.finish();
    await expectNothingLost(load, met);
  });
});

test('who had doubled up spreads again by itself, since the zone is back', async () => {
  const tenant = await until(
    'one member in each zone',
    async () => {
      await look(cloud, doubles);
      const now = await cloud.tenant(doubles);
      return new Set(zonesOf(now)).size === 3 && now.members.length === 3 && now;
    },
    { deadlineMs: 240_000, everyMs: 2_000 },
  );
  expect(tenant.members).toHaveLength(3);
  const settled = await calm(cloud, doubles);
  expect(spreadOf(settled)).toMatchObject({ status: 'True' });
});
