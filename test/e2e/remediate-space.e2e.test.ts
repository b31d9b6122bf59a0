import { setTimeout as sleep } from 'node:timers/promises';
import type { Etcd3 } from 'etcd3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { type Etcdctl, etcd3Client, etcdctl } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { look } from './support/look.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { pagesOf } from './support/pages.ts';
import { calm, type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

/** Side by side: nothing of this makes a tenant sick but CORRUPT, and two sick tenants are no storm (S8). */
const full = 'full';
const odd = 'odd';
const torn = 'torn';
const loose = 'loose';
const KiB = 1024;
const quotaMiB = 16;

let cloud: TestCloud;
let times: RecoveryTimes<'remediate-space'>;
let oddBorn: TenantDocument;
let oddOne: MemberDocument;
let tornBorn: TenantDocument;
const ctls: Record<string, Etcdctl> = {};
const loads: Load[] = [];
beforeAll(async () => {
  cloud = await testCloud();
  times = recoveryTimes(cloud, 'remediate-space');
  [, oddBorn, tornBorn] = await Promise.all([
    cloud.create(full, { quotaMiB }),
    cloud.create(odd),
    cloud.create(torn),
    cloud.create(loose, { maintenanceWindow: inThreeDays() }),
  ]);
  for (const tenantId of [full, odd, torn, loose]) ctls[tenantId] = await etcdctl(cloud, tenantId);
  // etcd compares hashes once a minute: this goes on while the other tenants are tested.
  oddOne = follower(oddBorn);
  await writeSome(odd, 'a');
  await corrupt(oddOne);
  await writeSome(torn, 'a');
  const [first, second] = tornBorn.members.filter(({ isLeader }) => !isLeader);
  await corrupt(first!);
  await writeSome(torn, 'b');
  await corrupt(second!);
  for (const tenantId of [odd, torn]) await compact(tenantId);
});
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') return;
  return printTimelines(cloud, [full, odd, torn, loose]);
});
afterAll(async () => {
  for (const load of loads) await load.stop().catch(() => {});
  for (const ctl of Object.values(ctls)) ctl.dispose();
  await cloud?.dispose();
});

const follower = ({ members }: TenantDocument): MemberDocument => members.find(({ isLeader }) => !isLeader)!;

/** A window that is closed today. */
function inThreeDays() {
  const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
  return { days: [days[(new Date().getUTCDay() + 3) % 7]!], start: '12:00', minutes: 30 };
}

async function writeSome(tenantId: string, prefix: string): Promise<void> {
  const client = await etcd3Client(cloud, tenantId);
  for (let key = 0; key < 40; key += 1) await client.put(`${prefix}/${key}`).value('v'.repeat(200));
  client.close();
}

/** Under a running etcd: one that starts on wrong data sees that itself, and does not go on. */
const corrupt = ({ name }: MemberDocument) =>
  cloud.cloud.hurt.act({ do: 'corrupt', member: name, what: 'live-db' });

async function compact(tenantId: string): Promise<void> {
  const status = await ctls[tenantId]!.run('endpoint', 'status', '-w', 'json');
  const revisions = [...status.matchAll(/"revision":(\d+)/g)].map(([, revision]) => Number(revision));
  await ctls[tenantId]!.run('compact', String(Math.max(...revisions)));
}

const sizesOf = async (tenantId: string): Promise<number[]> =>
  [...(await ctls[tenantId]!.run('endpoint', 'status', '-w', 'json')).matchAll(/"dbSize":(\d+)/g)].map(
    ([, size]) => Number(size),
  );

const lines = async (tenantId: string): Promise<string[]> =>
  (await timelineOf(cloud, tenantId)).map(({ message }) => message);

const loadOn = async (tenantId: string, perSecond: number): Promise<Load> => {
  const load = await startLoad(cloud, tenantId, { perSecond });
  loads.push(load);
  await load.goesOn();
  return load;
};

describe('NOSPACE', () => {
  let load: Load;
  let client: Etcd3;
  beforeAll(async () => {
    load = await loadOn(full, 200);
    client = await etcd3Client(cloud, full);
  });
  afterAll(() => client?.close());

  test('by a client that keeps writing: compacted, defragmented with the leader last, disarmed: writable by itself', async () => {
    let [filling, refused] = [true, false];
    const value = Buffer.alloc(64 * KiB, 'x');
    const fill = async () => {
      for (let turn = 0; filling; turn += 1)
        await client
          .put(`big/${turn % 10}`)
          .value(value)
          .exec()
          .catch((error: unknown) => {
            refused ||= /database space exceeded/.test(String(error));
            return sleep(50);
          });
    };
    let filled: Promise<void> | undefined;
    try {
      await times.measure({
        load,
        scenario: 'NOSPACE under a client that keeps writing: writable again',
        settings: `quota ${quotaMiB} MiB, the time to fill it included`,
        // Reads go on all the time: writes are what is waited for.
        hurt: async () => {
          filled = fill();
          await until('etcd to refuse a write', () => refused, { everyMs: 20 });
          await load.goesOn(200, 120_000);
          filling = false;
        },
        detects: ({ message }) => message.startsWith('Remediation begins'),
      });
    } finally {
      filling = false;
      await filled;
    }
    expect(await ctls[full]!.run('alarm', 'list')).toBe('');
    expect((await cloud.tenant(full)).spec.quotaMiB).toBe(quotaMiB);
    for (const size of await sizesOf(full)) expect(size).toBeLessThanOrEqual(0.8 * quotaMiB * KiB * KiB);
    const said = (await lines(full)).join('\n');
    expect(said).toMatch(/History compacted to revision \d+/);
    // The last of each round is who led before it.
    const [, from] = /Leadership handed over from (\w+)/.exec(said)!;
    expect(said).toMatch(
      new RegExp(`Leadership handed over from ${from} [^]*Database of ${from} defragmented`),
    );
    expect(said).toContain('alarms taken off: writes go on.');
  });
});

test('fragmentation waits for the maintenance window, then one after the other is defragmented, the leader last', async () => {
  const load = await loadOn(loose, 50);
  const client = await etcd3Client(cloud, loose);
  const value = Buffer.alloc(1000 * KiB, 'z');
  for (let key = 0; key < 140; key += 1) await client.put(`big/${key}`).value(value);
  await client.delete().prefix('big/');
  client.close();
  await compact(loose);
  for (const size of await sizesOf(loose)) expect(size).toBeGreaterThan(120e6);
  await look(cloud, loose);
  await load.goesOn();
  expect((await cloud.tenant(loose)).remediation).toBeNull();
  const leader = (await cloud.tenant(loose)).members.find(({ isLeader }) => isLeader)!.name;

  await cloud.api.call({
    method: 'PATCH',
    path: `/v1/tenants/${loose}`,
    body: { spec: { maintenanceWindow: null } },
  });
  await times.measure({
    load,
    scenario: 'fragmentation in the maintenance window: defragmented one by one',
    settings: '140 MB',
    hurt: async () => {
      await look(cloud, loose);
      await until('all to be small', async () => Math.max(...(await sizesOf(loose))) < 40e6);
    },
    detects: ({ message }) => message.startsWith('Remediation begins'),
  });
  const order = (await lines(loose)).flatMap(
    (line) => /^Database of (\w+) defragmented/.exec(line)?.[1] ?? [],
  );
  expect(order).toHaveLength(3);
  expect(order.at(-1)).toBe(leader);
  expect((await load.lap()).failures).toEqual([]);
});

test('CORRUPT: whose data differs from the majority is replaced, the alarm goes, writes go on', async () => {
  await until(
    'the alarm CORRUPT to be seen',
    async () => (await lines(odd)).some((line) => line.includes('the alarm CORRUPT')),
    { deadlineMs: 120_000 },
  );
  const tenant = await until('the odd one to be replaced', async () => {
    const now = await calm(cloud, odd);
    return now.members.every(({ name }) => name !== oddOne.name) && now;
  });
  expect(tenant.members).toHaveLength(3);
  const stayed = oddBorn.members.filter(({ name }) => name !== oddOne.name).map(({ name }) => name);
  expect(tenant.members.map(({ name }) => name)).toEqual(expect.arrayContaining(stayed));
  expect((await lines(odd)).join('\n')).toContain('its data is not that of the majority (HashKV)');
  const ctl = await etcdctl(cloud, odd);
  expect(await ctl.run('alarm', 'list')).toBe('');
  await ctl.run('put', 'after', 'corruption');
  const all = tenant.members.map(async ({ clientUrl }) => {
    const read = await ctl.run('get', 'a/', '--prefix', '--print-value-only', `--endpoints=${clientUrl}`);
    expect(new Set(read.split('\n'))).toEqual(new Set(['v'.repeat(200)]));
  });
  await Promise.all(all);
  ctl.dispose();
});

test('CORRUPT without a majority of one mind: nothing is repaired, a person is paged', async () => {
  await until(
    'a person to be paged',
    () => pagesOf(cloud, torn).some((text) => text.includes('no majority agrees')),
    {
      deadlineMs: 120_000,
    },
  );
  await look(cloud, torn);
  const tenant = await cloud.tenant(torn);
  expect(tenant.remediation).not.toBeNull();
  expect(tenant.members.map(({ etcdId }) => etcdId)).toEqual(tornBorn.members.map(({ etcdId }) => etcdId));
  expect((await lines(torn)).filter((line) => / leaves: |taken off|defragmented/.test(line))).toEqual([]);
});

test('nothing that was acknowledged is lost, and every answer was linearizable', async () => {
  await times.finish();
  // Under NOSPACE writes are refused, and told so.
  for (const load of loads)
    await expectNothingLost(load, (message) => message.includes('database space exceeded'));
});
