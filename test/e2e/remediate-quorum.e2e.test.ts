import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { taskIdOf } from '../../lambdas/core/members.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import {
  type KeptMember,
  keepMember,
  runTaskAgain,
  startEtcdAgain,
  startNannyAgain,
} from './support/by-hand.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { etcdWitness } from './support/etcd-truth.ts';
import type { HistoryEntry } from './support/history.ts';
import { checkHistory } from './support/linearizability.ts';
import { type Load, type LoadReport, startLoad } from './support/load.ts';
import { type KeyObserver, observeKeys } from './support/observer.ts';
import { calm, recoveryTimes } from './support/recovery-times.ts';
import { timelineOf } from './support/timeline.ts';
import { askAws } from './support/truth.ts';
import { until } from './support/until.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(() => cloud?.dispose());

/** Tasks at once, as if their hosts were lost: nothing is handed over, and their disks go with them. */
const lose = (members: readonly MemberDocument[]): Promise<unknown> =>
  Promise.all(members.map(({ name }) => cloud.cloud.hurt.act({ do: 'stop-task', member: name, hard: true })));

const loseTwo = async ({ members }: TenantDocument): Promise<void> => {
  const survivor = members.find(({ isLeader }) => !isLeader);
  await lose(members.filter((member) => member !== survivor));
};

const namesOf = ({ members }: TenantDocument): string[] => members.map(({ name }) => name).sort();

const said = async (tenantId: string): Promise<string[]> =>
  (await timelineOf(cloud, tenantId)).map(({ message }) => message);

const revisionIn = (lines: readonly string[], pattern: RegExp): number => {
  const found = lines.map((line) => pattern.exec(line)?.[1]).find((revision) => revision !== undefined);
  if (found === undefined) throw new Error(`No line of the timeline matches ${pattern}.`);
  return Number(found);
};

/** Numbers of writes that etcd acknowledged after what was saved, before the new incarnation. */
const afterSnapshot = ({ revisions }: LoadReport, saved: number, first: number): number[] =>
  [...revisions].filter(([, revision]) => revision > saved && revision < first).map(([number]) => number);

/** What remains of a history if everything that was answered after the snapshot had never happened. */
const withoutTail = (history: readonly HistoryEntry[], saved: number, first: number): HistoryEntry[] =>
  history.filter(({ revision = 0 }) => revision <= saved || revision >= first);

describe('two of three members are lost with their disks, policy auto', () => {
  const tenantId = 'alone';
  let before: TenantDocument;
  let after: TenantDocument;
  let load: Load;
  let observer: KeyObserver;
  let times: ReturnType<typeof recoveryTimes<'remediate-quorum'>>;
  beforeAll(async () => {
    before = await cloud.create(tenantId, { recovery: 'auto' });
    load = await startLoad(cloud, tenantId);
    observer = observeKeys(cloud, tenantId, 'load/n/');
    times = recoveryTimes(cloud, 'remediate-quorum');
    await load.goesOn(400);
    await until('the observer to see writes', () => observer.observed().events > 200);
    await times.measure({
      load,
      scenario: 'two of three lost with their disks: new incarnation from the survivor',
      hurt: async () => loseTwo(await cloud.tenant(tenantId)),
      healthy: ({ clusterId }) => clusterId !== before.clusterId,
      deadlineMs: 180_000,
    });
    after = await cloud.tenant(tenantId);
  });
  afterAll(async () => {
    await observer?.stop();
    await load?.stop().catch(() => {});
  });

  test('it is writable again without a human, as another cluster of nobody who was there before', async () => {
    await load.goesOn();
    expect(after).toMatchObject({ phase: 'available', remediation: null });
    expect(after.clusterId).not.toBe(before.clusterId);
    expect(namesOf(after).filter((name) => namesOf(before).includes(name))).toEqual([]);
    expect(new Set(after.members.map(({ zone }) => zone)).size).toBe(3);
  });

  test('what may be lost was said before anything was done', async () => {
    const lines = await said(tenantId);
    const order = [
      /Best source is .* at most those acknowledged within the last replication round/,
      /is saved: revision \d+/,
      /Every old task is stopped\. Incarnation 2 begins from revision \d+/,
    ].map((pattern) => lines.findIndex((line) => pattern.test(line)));
    expect(order).not.toContain(-1);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  test('a watcher never sees a revision go back; it is told that history is gone and reads anew', async () => {
    const { last } = observer.observed();
    await until('the observer to see more', () => observer.observed().last > last);
    const { wentBack, relisted } = observer.observed();
    expect(wentBack).toEqual([]);
    expect(relisted).toHaveLength(1);
    const first = revisionIn(await said(tenantId), /revisions go on from (\d+)/);
    expect(relisted[0]!.from).toBeLessThan(first);
    expect(relisted[0]!.to).toBeGreaterThanOrEqual(first);
    expect(relisted[0]!.why).toContain('required revision has been compacted');
  });

  test('lost is exactly what was acknowledged after the snapshot, nothing before it; all answers fit without that', async () => {
    await observer.stop();
    await times.finish();
    const report = await load.stop();
    const lines = await said(tenantId);
    const saved = revisionIn(lines, /is saved: revision (\d+)/);
    const first = revisionIn(lines, /revisions go on from (\d+)/);
    const tail = afterSnapshot(report, saved, first);
    console.log(
      `${report.acknowledged} writes acknowledged, ${report.lost.length} of them lost (${tail.length} were acknowledged after revision ${saved}); no write for ${report.longestGapMs} ms`,
    );
    expect([...report.lost].sort()).toEqual(tail.sort());
    expect(checkHistory(withoutTail(report.history, saved, first))).toEqual({ linearizable: true });
  });
});

describe('two of three members are lost, policy approve; somebody kept their disks', () => {
  const tenantId = 'asked';
  const folder = mkdtempSync(join(tmpdir(), 'nanny-kept-'));
  let before: TenantDocument;
  let waiting: TenantDocument;
  let load: Load;
  let kept: KeptMember[];
  beforeAll(async () => {
    before = await cloud.create(tenantId, { recovery: 'approve', volume: 'ephemeral' });
    load = await startLoad(cloud, tenantId, { perSecond: 50, hotKeys: 0 });
    await load.goesOn();
    const { members } = await cloud.tenant(tenantId);
    const survivor = members.find(({ isLeader }) => !isLeader)!;
    const lost = members.filter((member) => member !== survivor);
    kept = lost.map((member) => keepMember(cloud, member, folder, { stay: true }));
    await lose(lost);
    waiting = await until('the tenant to wait for approval', async () => {
      const tenant = await cloud.tenant(tenantId);
      return tenant.remediation?.waitsForApproval && tenant;
    });
    kept.push(keepMember(cloud, survivor, folder));
  });
  afterAll(async () => {
    await load?.stop().catch(() => {});
    rmSync(folder, { recursive: true });
  });

  test('it waits, says what would be lost and how to go on, and touches nobody', async () => {
    expect(waiting).toMatchObject({ phase: 'recovering', clusterId: before.clusterId });
    expect(waiting.remediation?.reason).toMatch(/Best source is .* at most those acknowledged within/);
    const { code, stdout } = await cloud.cli('get', tenantId);
    expect(code).toBe(0);
    expect(stdout).toContain(`nanny approve ${tenantId}`);
    expect((await said(tenantId)).filter((line) => line.includes('is saved'))).toEqual([]);
    expect(namesOf(waiting)).toEqual(namesOf(before));
  });

  test('nanny approve: it goes on and is writable again', async () => {
    const { code, stderr } = await cloud.cli('approve', tenantId);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const after = await calm(cloud, tenantId, 180_000);
    expect(after.clusterId).not.toBe(before.clusterId);
    await load.goesOn();
    const operations = await cloud.api.all<Operation>(`/v1/tenants/${tenantId}/operations`);
    expect(operations[0]).toMatchObject({ kind: 'recover', state: 'succeeded' });
  });

  test('old members that are started again by hand neither come back nor form a second cluster', async () => {
    const whole = await cloud.tenant(tenantId);
    const survivor = startEtcdAgain(kept.at(-1)!);
    const nannies = kept.slice(0, -1).map(startNannyAgain);
    const tasks = await Promise.all(kept.map((member) => runTaskAgain(cloud, member)));
    try {
      // A task of its own, by an old name: join knows the name no more.
      const aws = askAws(cloud);
      await until('the tasks to have ended', async () => {
        const running = await aws.tasks('RUNNING');
        return tasks.every((task) => !running.includes(task));
      });
      aws.close();
      tasks.forEach((task, index) => {
        const log = readFileSync(join(cloud.stateDir, 'logs', 'tasks', `${taskIdOf(task)}.log`), 'utf8');
        expect(log).toContain(`Leaving: ${kept[index]!.member.name} is not a member of ${tenantId}`);
        expect(log).not.toContain('etcd started');
      });
      // A majority of the old cluster, each with its nanny, its certificates and its data: without its task it is nobody.
      for (const nanny of nannies) {
        expect(await nanny.exitCode).not.toBe(0);
        expect(nanny.output()).not.toContain('etcd started');
      }
      // The survivor's bare etcd is one of three, and the new cluster is none of its.
      expect(survivor.output()).toContain('"cluster-id"');
      expect(survivor.output()).not.toContain('ready to serve client requests');
      const witness = await etcdWitness(cloud, tenantId);
      const truth = await witness.look();
      witness.close();
      expect(truth.clusterId).toBe(whole.clusterId);
      expect(truth.members.map(({ name }) => name).sort()).toEqual(namesOf(whole));
      await load.goesOn();
      expect(await calm(cloud, tenantId)).toMatchObject({ clusterId: whole.clusterId, phase: 'available' });
    } finally {
      await Promise.all([survivor, ...nannies].map((each) => each.stop()));
    }
  });

  test('lost is exactly what was acknowledged after the snapshot', async () => {
    const report = await load.stop();
    const lines = await said(tenantId);
    const saved = revisionIn(lines, /is saved: revision (\d+)/);
    const first = revisionIn(lines, /revisions go on from (\d+)/);
    expect([...report.lost].sort()).toEqual(afterSnapshot(report, saved, first).sort());
  });
});
