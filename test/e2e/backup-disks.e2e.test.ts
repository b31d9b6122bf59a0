import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { startLoad } from './support/load.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { backedUp, totalLoss } from './support/total-loss.ts';
import { until } from './support/until.ts';

/**
 * What may be lost of what was acknowledged: a replication round takes milliseconds; the rest is for how far apart the
 * clocks of the load, of this process, and the ends of three tasks "at once" may be.
 */
const roundMs = 1_000;

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  if (cloud) await printTimelines(cloud, ['three', 'one', 'torn']);
  await cloud?.dispose();
});

const foldersIn = (what: 'volumes' | 'snapshots'): string[] => {
  const folder = join(cloud.stateDir, 'ecs', what);
  return existsSync(folder) ? readdirSync(folder) : [];
};
const disks = (): number => foldersIn('volumes').length;

describe.each([
  {
    tenantId: 'three',
    members: 3,
    scenario: 'all three members lost, their disks kept: new incarnation from the furthest disk',
  },
  {
    tenantId: 'one',
    members: 1,
    scenario: 'the only member lost, its disk kept: new incarnation from it',
  },
] as const)('$scenario', ({ tenantId, members, scenario }) => {
  let others: number;
  beforeAll(() => {
    others = disks();
  });
  const seen = totalLoss(() => cloud, {
    topic: 'backup-disks',
    tenantId,
    members,
    scenario,
    volume: 'ebs',
    strike: () => cloud.cloud.hurt.act({ do: 'stop-all', tenant: tenantId, loseDisks: false }),
  });

  test('what may be lost was said before anything was done, and every disk was looked at', () => {
    const { lines, before } = seen();
    const at = (what: RegExp): number => lines.findIndex((line) => what.test(line));
    const said = at(/Quorum is lost.*at most what was acknowledged within the last replication round/);
    const chosen = at(/Best source is the disk of \w+: revision \d+/);
    const done = at(/Incarnation 2 begins from revision \d+/);
    expect(said).toBeGreaterThan(-1);
    expect(chosen).toBeGreaterThan(said);
    expect(done).toBeGreaterThan(chosen);
    for (const { name } of before.members) {
      expect(lines.slice(said, chosen).join('\n')).toMatch(`The disk of ${name} reaches revision`);
    }
  });

  test('every write is there but what was acknowledged in the last replication round; nothing is invented', () => {
    const { agesOfLost, report } = seen();
    expect(agesOfLost.filter((age) => Math.abs(age) > roundMs)).toEqual([]);
    expect(report.invented).toEqual([]);
  });

  test('once it is well the kept disks and their copies are removed', async () => {
    await until('the former disks to be gone', () => disks() === others + members, {
      deadlineMs: 200_000,
      everyMs: 1_000,
    });
    expect(foldersIn('snapshots')).toEqual([]);
    expect((await timelineOf(cloud, tenantId)).map(({ message }) => message).join('\n')).toMatch(
      /[Aa] disk of former members removed|\d disks of former members removed/,
    );
  });
});

test('a disk that etcd does not take is told of, and the backup takes its place', async () => {
  const before = await cloud.create('torn', { members: 1, volume: 'ebs', quorumLossConfirmSeconds: 10 });
  const load = await startLoad(cloud, 'torn');
  await backedUp(cloud, 'torn');
  await load.goesOn(400);
  await cloud.cloud.hurt.act({ do: 'corrupt', member: before.members[0]!.name, what: 'wal' });
  await until(
    'it to be another cluster',
    async () => {
      const { phase, clusterId } = await cloud.tenant('torn');
      return phase === 'available' && clusterId !== null && clusterId !== before.clusterId;
    },
    { deadlineMs: 150_000, everyMs: 500 },
  );
  await load.goesOn();
  await load.stop();
  const lines = (await timelineOf(cloud, 'torn')).map(({ message }) => message);
  const at = (what: RegExp): number => lines.findIndex((line) => what.test(line));
  const useless = at(/The disk of \w+ cannot be used/);
  const told = at(/No disk reaches as far .* Best source is backup .* is lost/);
  expect(useless).toBeGreaterThan(-1);
  expect(told).toBeGreaterThan(useless);
  expect(at(/Incarnation 2 begins from revision \d+/)).toBeGreaterThan(told);
});

test('a deleted tenant leaves no disk', async () => {
  await cloud.api.call({ method: 'DELETE', path: '/v1/tenants/one?finalBackup=false' });
  await cloud.api.call({ method: 'DELETE', path: '/v1/tenants/torn?finalBackup=false' });
  await until('the tenants to be gone', async () => (await cloud.api.all('/v1/tenants')).length === 1, {
    deadlineMs: 60_000,
  });
  expect(disks()).toBe(3);
});
