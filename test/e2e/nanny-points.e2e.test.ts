import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WorkProgress } from '../../lambdas/core/wire/work.ts';
import { defaultVersion } from '../../node-image/binaries/versions.ts';
import { BackupCluster, deltaPrefix, fullKey } from '../node-image/src/support/backup-cluster.ts';
import { until } from '../node-image/src/support/until.ts';
import { RecordedHistory } from './support/recorded-history.ts';

const [a, b] = ['maaaaaaa1', 'maaaaaaa2'];
const deltas = { prefix: deltaPrefix };
const points = 50;
/** How much older than asked a state may be: as long as a watch takes to tell. */
const lateMs = 1_000;

function resultOf(end: WorkProgress) {
  if (end.state !== 'done') throw new Error(`the work ended with ${JSON.stringify(end)}`);
  return end.result;
}

describe('every moment of a run', () => {
  let scene: BackupCluster;
  beforeAll(async () => {
    scene = await BackupCluster.start(defaultVersion);
    await scene.enableAuth();
  });
  afterAll(() => scene?.stop());

  test('every nanny tells when users change', async () => {
    const names = Object.keys(scene.cluster.members);
    const told = () =>
      Promise.all(names.map(async (name) => (await scene.cluster.status(name)).authRevision ?? 0));
    const before = Math.max(...(await told()));
    await scene.etcdctl('user', 'add', 'paula', '--no-password');
    await until('all of them to tell', async () => (await told()).every((revision) => revision > before));
  });

  test(`${points} points of one run, by revision and by time: each equals what a client saw then, key by key`, async () => {
    const begun = await scene.full(a, fullKey('01RUN'));
    const { contentAt, ...from } = begun;
    await scene.ship(b, begun.revision);
    // Shorter than the run, so that leases end in it.
    const history = await RecordedHistory.begin(scene.client, 6);
    await history.go(120);
    const leader = await scene.cluster.leader();
    const other = await scene.cluster.status([a, b].find((name) => name !== leader)!);
    await scene.post(leader, '/v1/leadership', { toEtcdId: other.self!.etcdId });
    await history.go(120);
    await scene.shipped(b, history.last.revision);
    await scene.post(a, '/v1/compact', { revision: history.last.revision - 30 });
    await history.go(60);
    await until('the leases have ended', async () => {
      await history.look();
      return history.last.keys.every((line) => line.endsWith(' 0'));
    });
    await history.go(60);
    await scene.shipped(b, history.last.revision);
    const { moments } = history;
    const [first, last] = [moments[0]!, history.last];
    console.log(
      `${moments.length} revisions in ${(last.surelyBy - first.surelyBy) / 1_000} s, ${last.keys.length} keys at the end`,
    );

    const seconds: number[] = [];
    for (let n = 0; n < points; n += 1) {
      const random = Math.random();
      const at = first.surelyBy + random * (last.surelyBy - first.surelyBy);
      const { revision } = moments[Math.floor(random * moments.length)]!;
      const byTime = n % 2 === 1;
      const may = byTime ? history.within(at, lateMs) : { least: revision, most: revision };
      const wanted = byTime ? { at: new Date(at).toISOString() } : { revision };
      const began = performance.now();
      const key = fullKey(`01POINT${n}`);
      const { end } = await scene.work({
        source: from,
        deltas,
        until: wanted,
        output: { key },
      });
      const made = resultOf(end);
      seconds.push((performance.now() - began) / 1_000);
      expect(made.revision, JSON.stringify(wanted)).toBeGreaterThanOrEqual(may.least);
      expect(made.revision, JSON.stringify(wanted)).toBeLessThanOrEqual(may.most);
      const then = history.at(made.revision);
      expect(await scene.restoredKeys(key, made.output!.sha256), JSON.stringify(wanted)).toEqual(then.keys);
    }
    seconds.sort((x, y) => x - y);
    console.log(
      `${points} points: a worker takes ${seconds[points / 2]!.toFixed(1)} s, at most ${seconds.at(-1)!.toFixed(1)} s`,
    );
  }, 340_000);
});
