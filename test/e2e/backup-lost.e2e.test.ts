import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, type LoadReport, startLoad } from './support/load.ts';
import { type KeyObserver, observeKeys } from './support/observer.ts';
import { recoveryTimes } from './support/recovery-times.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

/** What a lost cluster may lose of what it had acknowledged when it is made again of its backups (design §9: RPO). */
const promisedMs = 10_000;

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  if (cloud) await printTimelines(cloud, ['three', 'one']);
  await cloud?.dispose();
});

const shipped = async (tenantId: string): Promise<boolean> => {
  const { conditions } = await cloud.tenant(tenantId);
  return conditions.some(({ type, status }) => type === 'BackupFresh' && status === 'True');
};

describe.each([
  {
    tenantId: 'three',
    members: 3,
    scenario: 'all three members lost with their disks: new incarnation from backup and change stream',
  },
  {
    tenantId: 'one',
    members: 1,
    scenario: 'the only member lost with its disk: new incarnation from backup and change stream',
  },
] as const)('$scenario', ({ tenantId, members, scenario }) => {
  let before: TenantDocument;
  let load: Load;
  let observer: KeyObserver;
  let struckAt: number;
  let report: LoadReport;
  let lines: string[];
  beforeAll(async () => {
    before = await cloud.create(tenantId, {
      recovery: 'auto',
      members,
      volume: 'ephemeral',
      quorumLossConfirmSeconds: 10,
    });
    load = await startLoad(cloud, tenantId);
    observer = observeKeys(cloud, tenantId, 'load/n/');
    const times = recoveryTimes(cloud, 'backup-lost');
    await until(`${tenantId} to be backed up`, () => shipped(tenantId), {
      deadlineMs: 240_000,
      everyMs: 1_000,
    });
    await load.goesOn(400);
    await sleep(Math.random() * 7_000);
    const { members: lost } = await cloud.tenant(tenantId);
    await times.measure({
      load,
      scenario,
      hurt: async () => {
        struckAt = Date.now();
        await Promise.all(
          lost.map(({ name }) => cloud.cloud.hurt.act({ do: 'stop-task', member: name, hard: true })),
        );
      },
      healthy: ({ clusterId }) => clusterId !== before.clusterId,
      deadlineMs: 240_000,
    });
    await load.goesOn();
    await until('the watcher to see what is written now', () => observer.observed().relisted.length > 0);
    await observer.stop();
    await times.finish();
    report = await load.stop();
    lines = (await timelineOf(cloud, tenantId)).map(({ message }) => message);
  });
  afterAll(async () => {
    await observer?.stop();
    await load?.stop().catch(() => {});
  });

  test('it is writable again without a human, as another cluster of nobody who was there before', async () => {
    const after = await cloud.tenant(tenantId);
    expect(after).toMatchObject({ phase: 'available', remediation: null });
    expect(after.clusterId).not.toBe(before.clusterId);
    const old = before.members.map(({ name }) => name);
    expect(after.members.filter(({ name }) => old.includes(name))).toEqual([]);
    expect(new Set(after.members.map(({ zone }) => zone)).size).toBe(members);
  });

  test('what may be lost, and of what it is made, was said before anything was done', () => {
    const said = lines.findIndex((line) => /Quorum is lost/.test(line) && /backup/.test(line));
    const done = lines.findIndex((line) => /Incarnation 2 begins from revision \d+/.test(line));
    expect(said).toBeGreaterThan(-1);
    expect(done).toBeGreaterThan(said);
  });

  test('every write of more than the promised time before is there; nothing is there that nobody wrote', () => {
    const ages = report.lost.map((number) => struckAt - report.answeredAt.get(number)!);
    console.log(
      `${tenantId}: ${report.acknowledged} writes acknowledged, ${ages.length} of them lost, the oldest ${Math.round(Math.max(0, ...ages))} ms old; no write for ${report.longestGapMs} ms`,
    );
    expect(ages.filter((age) => age > promisedMs)).toEqual([]);
    // Of what the new cluster has acknowledged nothing.
    expect(ages.filter((age) => age < -promisedMs)).toEqual([]);
    expect(report.invented).toEqual([]);
  });

  test('a watcher never sees a revision go back; it is told that history is gone and reads anew', () => {
    const { wentBack, relisted } = observer.observed();
    expect(wentBack).toEqual([]);
    expect(relisted).toHaveLength(1);
    expect(relisted[0]!.to).toBeGreaterThan(relisted[0]!.from);
    expect(relisted[0]!.why).toContain('required revision has been compacted');
  });
});
