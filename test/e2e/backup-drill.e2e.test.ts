import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { betweenBackups, proving } from './support/proving.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = betweenBackups('drilled');

let cloud: TestCloud;
let load: Load;
const backups = proving(() => cloud, tenantId);

beforeAll(async () => {
  cloud = await testCloud();
  await cloud.create(tenantId, { volume: 'ephemeral', unreachableSeconds: 60 });
  load = await startLoad(cloud, tenantId, { perSecond: 50 });
  expect(await backups.now('backups')).toMatchObject({ state: 'succeeded' });
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') return printTimelines(cloud, [tenantId]);
});
afterAll(async () => {
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

const lines = async () => (await timelineOf(cloud, tenantId)).map(({ message }) => message);
const newest = async () => (await backups.list()).backups[0]!;
/** As the cluster itself counts them. */
const keysAt = async (revision: number): Promise<number> => {
  const asked = ['get', '', '--prefix', '--count-only', '--write-out', 'fields', '--rev', String(revision)];
  const { code, stdout, stderr } = await cloud.cli('etcdctl', tenantId, '--', ...asked);
  if (code !== 0) throw new Error(stderr);
  return Number(/"Count" : (\d+)/.exec(stdout)?.[1]);
};
const fullAndSegments = async () => {
  const full = await newest();
  // More than one segment: what is done to one must not be all there is.
  await backups.shipped(600, full.revision);
  return full;
};

test('a drill restores the newest full backup and the changes behind it, and finds what the cluster holds', async () => {
  const full = await fullAndSegments();
  const { code, stderr, stdout } = await cloud.cli('drill', tenantId, '--wait');
  expect([code, stdout]).toEqual([0, expect.stringContaining('is proven')]);
  expect(stderr).toContain('Proving the newest backup');
  const { proof } = await newest();
  expect(proof!.revision).toBeGreaterThan(full.revision + 500);
  expect(proof!.keys).toBe(await keysAt(proof!.revision));
  console.log(
    `drill: ${proof!.keys} keys, revision ${full.revision} + ${proof!.revision - full.revision}, ${proof!.seconds} s`,
  );
  expect((await backups.becomes('BackupProven', 'True')).message).toContain(`revision ${proof!.revision}`);
  expect((await cloud.cli('backups', tenantId)).stdout).toMatch(/\d+ keys restored/);
  expect((await cloud.tenant(tenantId)).worker).toBeNull();
});

describe.each([
  { what: 'a bit of the full backup flipped', act: 'flip-backup', object: 'full' },
  { what: 'a bit of a segment flipped', act: 'flip-backup', object: 'segment' },
  { what: 'the full backup lost', act: 'lose-backup', object: 'full' },
  { what: 'a segment lost', act: 'lose-backup', object: 'segment' },
] as const)('$what', ({ act, object }) => {
  let victim: Awaited<ReturnType<typeof newest>>;
  let hurt: string;
  let found: Awaited<ReturnType<typeof backups.now>>;
  let struckAt: number;
  beforeAll(async () => {
    victim = await fullAndSegments();
    const part = object === 'full' ? victim.key : `/${tenantId}/1/delta/`;
    const told = await cloud.cloud.hurt.act({ do: act, key: part });
    hurt = /\S+\.(snap|delta\.zst)/.exec(told)![0];
    // What is damaged must not be the end that is not shipped yet.
    await backups.shipped(300, await backups.shipped(0, 0));
    struckAt = Date.now();
    found = await backups.now('drill');
  });

  test('the drill fails and says what is wrong with which object; people are told', async () => {
    expect(found.state).toBe('failed');
    const names = act === 'flip-backup' || object === 'full' ? hurt : victim.backupId;
    expect(found.message).toContain(names);
    // Mended within seconds: a slow look may find it proven again already.
    const condition = await backups.condition('BackupProven');
    if (condition?.status === 'False') {
      expect(condition).toMatchObject({
        reason: 'ProofFailed',
        message: expect.stringContaining(victim.backupId),
      });
    } else {
      expect(Date.parse(condition!.since)).toBeGreaterThan(struckAt);
    }
    const told = await lines();
    expect(
      told.filter((line) => line.startsWith('Drill:') && line.includes('cannot be restored')).at(-1),
    ).toContain(names);
  });

  test('it is marked, and nothing is restored from it any more', async () => {
    const { backups: all } = await backups.list();
    const marked = all.find(({ backupId }) => backupId === victim.backupId)!;
    if (object === 'full') expect(marked.damaged?.problem).toBeTruthy();
    else if (act === 'flip-backup') expect(marked.damagedSegments?.map(({ key }) => key)).toEqual([hurt]);
    expect(object === 'segment' && marked.damaged).toBeFalsy();
    const { code, stdout } = await cloud.cli('restore', tenantId, '--to', 'newest', '--dry-run', '--json');
    expect(code).toBe(0);
    const { estimate } = JSON.parse(stdout);
    if (object === 'full') expect(estimate.backupId).not.toBe(victim.backupId);
  });

  test('another full backup is taken at once, and proven at once', async () => {
    const proven = await until(
      'the replacement to be proven',
      async () => {
        const first = await newest();
        return first.backupId !== victim.backupId && first.proof !== undefined && first;
      },
      { deadlineMs: 180_000, everyMs: 500 },
    );
    expect(proven.reason).toBe('replacement');
    console.log(
      `${act} ${object}: found and replaced and proven in ${((Date.parse(proven.proof!.at) - struckAt) / 1_000).toFixed(1)} s`,
    );
    expect((await backups.becomes('BackupProven', 'True')).message).toContain(
      `revision ${proven.proof!.revision}`,
    );
  });
});

test('the cluster was not disturbed by any of it', async () => {
  const report = await load.stop();
  console.log(
    `${report.acknowledged} writes, ${report.retried} retried, longest gap ${report.longestGapMs} ms`,
  );
  expect(report.failed).toEqual([]);
  expect(report.lost).toEqual([]);
  expect(await cloud.tenant(tenantId)).toMatchObject({ phase: 'available', remediation: null, worker: null });
});
