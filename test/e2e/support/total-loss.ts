import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { TestCloud } from './cloud.ts';
import { type Load, type LoadReport, startLoad } from './load.ts';
import { type KeyObserver, observeKeys } from './observer.ts';
import { proving } from './proving.ts';
import { recoveryTimes } from './recovery-times.ts';
import type { Scenario, Topic } from './scenarios.ts';
import { timelineOf } from './timeline.ts';
import { until } from './until.ts';

export interface HowLost<T extends Topic> {
  /** Whose table of recovery times it goes into. */
  readonly topic: T;
  readonly tenantId: string;
  readonly members: 1 | 3;
  readonly scenario: Scenario<T>;
  readonly volume: 'ebs' | 'ephemeral';
  /** Waits for what has to be there before. */
  readonly ready?: () => Promise<unknown>;
  /** All members at once. */
  readonly strike: (before: TenantDocument) => Promise<unknown>;
}

export interface TotalLoss {
  readonly before: TenantDocument;
  readonly report: LoadReport;
  /** Messages of the timeline, oldest first. */
  readonly lines: readonly string[];
  /** How long before the loss each write that is gone was acknowledged, ms. */
  readonly agesOfLost: readonly number[];
}

/**
 * A tenant under load and under a watcher loses all its members at a random moment. Brings the promises that hold
 * whatever the cluster is made again of; what may be lost, and of what it is made, is the topic's.
 * @returns what was seen, for tests of the same `describe`
 */
export function totalLoss<T extends Topic>(cloud: () => TestCloud, how: HowLost<T>): () => TotalLoss {
  const { topic, tenantId, members, scenario, volume, ready, strike } = how;
  let load: Load;
  let observer: KeyObserver;
  let seen: TotalLoss;
  beforeAll(async () => {
    const before = await cloud().create(tenantId, {
      recovery: 'auto',
      members,
      volume,
      quorumLossConfirmSeconds: 10,
    });
    load = await startLoad(cloud(), tenantId);
    observer = observeKeys(cloud(), tenantId, 'load/n/');
    const times = recoveryTimes(cloud(), topic);
    await ready?.();
    await load.goesOn(400);
    await sleep(Math.random() * 7_000);
    let struckAt = 0;
    await times.measure({
      load,
      scenario,
      hurt: async () => {
        struckAt = Date.now();
        await strike(before);
      },
      healthy: ({ clusterId }) => clusterId !== before.clusterId,
      deadlineMs: 240_000,
    });
    await load.goesOn();
    await until('the watcher to see what is written now', () => observer.observed().relisted.length > 0);
    await observer.stop();
    await times.finish();
    const report = await load.stop();
    const lines = (await timelineOf(cloud(), tenantId)).map(({ message }) => message);
    const agesOfLost = report.lost.map((number) => struckAt - report.answeredAt.get(number)!);
    console.log(
      `${tenantId}: ${report.acknowledged} writes acknowledged, ${agesOfLost.length} of them lost, the oldest ${Math.round(Math.max(0, ...agesOfLost))} ms old; no write for ${report.longestGapMs} ms`,
    );
    seen = { before, report, lines, agesOfLost };
  });
  afterAll(async () => {
    await observer?.stop();
    await load?.stop().catch(() => {});
  });

  test('it is writable again without a human, as another cluster of nobody who was there before', async () => {
    const after = await cloud().tenant(tenantId);
    expect(after).toMatchObject({ phase: 'available', remediation: null });
    expect(after.clusterId).not.toBe(seen.before.clusterId);
    const old = seen.before.members.map(({ name }) => name);
    expect(after.members.filter(({ name }) => old.includes(name))).toEqual([]);
    expect(new Set(after.members.map(({ zone }) => zone)).size).toBe(members);
  });

  test('a watcher never sees a revision go back; it is told that history is gone and reads anew', () => {
    const { wentBack, relisted } = observer.observed();
    expect(wentBack).toEqual([]);
    expect(relisted).toHaveLength(1);
    expect(relisted[0]!.to).toBeGreaterThan(relisted[0]!.from);
    expect(relisted[0]!.why).toContain('required revision has been compacted');
  });

  return () => seen;
}

/** Waits until what was written so far is in the bucket. */
export const backedUp = (cloud: TestCloud, tenantId: string): Promise<unknown> =>
  proving(() => cloud, tenantId).becomes('BackupFresh', 'True', { deadlineMs: 240_000 });
