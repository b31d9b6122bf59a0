import { cp } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chainOf } from '../../lambdas/core/backup/chain.ts';
import type { WorkOrder, WorkProgress } from '../../lambdas/core/wire/work.ts';
import { unpackSegment } from '../../node-image/src/backup/segment.ts';
import { TrailingHash } from '../../node-image/src/snapshot/trailing-hash.ts';
import { BackupCluster, deltaPrefix, fullKey, type Truth } from '../node-image/src/support/backup-cluster.ts';
import { bucketName } from '../node-image/src/support/local-s3.ts';
import { until } from '../node-image/src/support/until.ts';
import { etcdVersionsAtHand } from '../node-image/src/support/versions.ts';

const versions = await etcdVersionsAtHand();
const [a, b] = ['maaaaaaa1', 'maaaaaaa2'];
const deltas = { prefix: deltaPrefix };
const kills = 20;

function resultOf(end: WorkProgress) {
  if (end.state !== 'done') throw new Error(`the work ended with ${JSON.stringify(end)}`);
  return end.result;
}

describe.each(versions)('backups of etcd %s', (version) => {
  let scene: BackupCluster;
  let full: Awaited<ReturnType<BackupCluster['full']>>;
  const truths: Truth[] = [];
  const moments: { at: string; revision: number }[] = [];

  const source = (): WorkOrder['source'] => {
    const { contentAt, ...rest } = full;
    return rest;
  };
  const remember = async () => {
    truths.push(await scene.truth(await scene.revision()));
  };
  const rememberMoment = async () => {
    await delay(300);
    moments.push({ at: new Date().toISOString(), revision: await scene.revision() });
    await delay(300);
  };

  beforeAll(async () => {
    scene = await BackupCluster.start(version);
    await scene.enableAuth();
  });
  afterAll(() => scene.stop());

  test('the change stream is shipped under writes, compaction, a change of leader and leases that end', async () => {
    for (let n = 0; n < 100; n += 1) await scene.put(`base/${n}`, Buffer.alloc(20_000, n));
    const { id: long } = await scene.client.call('leaseGrant', { ttl: '600' });
    await scene.put('long/before', 'x', long);
    full = await scene.full(a, fullKey('01FULL'));
    expect(full.revision).toBe(await scene.revision());
    expect(Date.parse(full.contentAt)).toBeLessThanOrEqual(Date.now());
    await scene.ship(b, full.revision);
    await remember();

    const { id: short } = await scene.client.call('leaseGrant', { ttl: '2' });
    for (const n of [1, 2, 3]) await scene.put(`short/${n}`, `${n}`, short);
    await remember();
    for (let n = 0; n < 300; n += 1) await scene.put(`many/${String(n).padStart(3, '0')}`, `${n}`);
    await rememberMoment();
    const puts = Array.from({ length: 100 }, (_, n) => ({
      put: { key: Buffer.from(`txn/${n}`), value: Buffer.from('t'), lease: n === 7 ? long : '0' },
    }));
    const range = (from: string, to: string) => ({ key: Buffer.from(from), rangeEnd: Buffer.from(to) });
    await scene.client.call('txn', {
      success: [...puts, { deleteRange: { ...range('base/1', 'base/2'), prevKv: false } }] as never,
    });
    await remember();
    await scene.client.call('deleteRange', range('many/', 'many0'));
    await remember();
    await until('the lease has ended', async () => {
      const { count } = await scene.client.call('range', { ...range('short/', 'short0'), countOnly: true });
      return count === '0';
    });
    await remember();
    await rememberMoment();

    const leader = await scene.cluster.leader();
    const follower = await scene.cluster.status([a, b].find((name) => name !== leader)!);
    await scene.post(leader, '/v1/leadership', { toEtcdId: follower.self!.etcdId });
    for (let n = 0; n < 20; n += 1) await scene.put('after/leader', `${n}`);
    const compactAt = (await scene.revision()) - 5;
    await scene.shipped(b, await scene.revision());
    await scene.post(a, '/v1/compact', { revision: compactAt });
    for (let n = 0; n < 20; n += 1) await scene.put('after/compaction', Buffer.alloc(50_000, n));
    await remember();
    await rememberMoment();
    for (let n = 0; n < 50; n += 1) await scene.put(`tail/${n % 7}`, `${n}`);
    await remember();
    await scene.shipped(b, await scene.revision());
    const chain = chainOf(full.revision, scene.segments());
    expect(chain).toMatchObject({ kind: 'whole', last: await scene.revision() });
    expect(chain.segments.length).toBeGreaterThanOrEqual(2);
    const reports = scene.cluster.controlPlane.reports(b).filter(({ backup }) => backup !== undefined);
    expect(reports.length).toBeLessThan(chain.segments.length + 5);
  });

  test('a worker restores each revision that was looked at: the hash is the live one', async () => {
    expect(truths.length).toBeGreaterThanOrEqual(7);
    for (const { revision, hash, compactRevision, keys } of truths) {
      const { end, told, code } = await scene.work({
        source: source(),
        deltas,
        until: { revision },
        compactRevision,
      });
      expect(resultOf(end)).toMatchObject({ revision, hash, keys: keys.length });
      expect(resultOf(end).replayed).toBe(revision - full.revision);
      expect(code).toBe(0);
      const phases = told.flatMap((progress) => (progress.state === 'running' ? [progress.phase] : []));
      expect(phases.length).toBeGreaterThan(0);
    }
  });

  test('a worker restores a moment: the last change that was seen by then, and none after it', async () => {
    for (const { at, revision } of moments) {
      const { end } = await scene.work({ source: source(), deltas, until: { at } });
      expect(resultOf(end).revision).toBe(revision);
    }
    const { end } = await scene.work({ source: source(), deltas });
    expect(resultOf(end).revision).toBe(await scene.revision());
  });

  test('what it publishes starts a new incarnation that equals the recorded state key by key', async () => {
    for (const truth of [truths[1]!, truths.at(-1)!]) {
      const key = fullKey(`01OUTPUT${truth.revision}`);
      const order = { source: source(), deltas, until: { revision: truth.revision }, output: { key } };
      const made = resultOf((await scene.work(order)).end);
      expect(made.output).toMatchObject({ key, bytes: (await scene.s3.content(key)).length });
      // Killed after it had published, it finds its own object.
      const again = resultOf((await scene.work(order)).end);
      expect(again.output).toEqual(made.output);
      expect(await scene.restoredKeys(key, made.output!.sha256)).toEqual(truth.keys);
    }
  });

  if (version.startsWith('3.5.'))
    test('a snapshot of 3.5 is opened by 3.6 with the same hash', async () => {
      const newer = versions.find((each) => each.startsWith('3.6.'))!;
      const { revision, hash, compactRevision } = truths.at(-1)!;
      const { end } = await scene.work({
        source: source(),
        deltas,
        until: { revision },
        compactRevision,
        etcdVersion: newer,
      });
      expect(resultOf(end)).toMatchObject({ revision, hash });
    });

  test('what is damaged or missing is named, and never replayed', async () => {
    const [first] = scene.segments();
    const { key } = first!;
    const whole = await scene.s3.content(key);
    const object = scene.s3.bucket.objects.get(key)!;
    const flipped = Buffer.from(whole);
    flipped[Math.floor(flipped.length / 2)]! ^= 1;
    await scene.s3.seed(key, flipped);
    const damaged = await scene.work({ source: source(), deltas });
    expect(damaged.end).toMatchObject({ state: 'failed', code: 'damaged', key });
    expect(damaged.code).toBe(0);
    scene.s3.bucket.objects.delete(key);
    const gap = await scene.work({ source: source(), deltas });
    expect(gap.end).toMatchObject({ state: 'failed', code: 'gap' });
    expect(JSON.stringify(gap.end)).toContain(String(first!.first));
    scene.s3.bucket.objects.set(key, object);
    await scene.s3.seed(key, whole);

    const content = await scene.s3.content(full.key);
    await scene.s3.seed(fullKey('01CUT'), content.subarray(0, content.length - 5_000));
    const cut = await scene.work({ source: { ...source(), key: fullKey('01CUT') } as never });
    expect(cut.end).toMatchObject({ state: 'failed', code: 'damaged', key: fullKey('01CUT') });
    const missing = await scene.work({ source: { ...source(), key: fullKey('01NONE') } as never });
    expect(missing.end).toMatchObject({ state: 'failed', code: 'damaged', key: fullKey('01NONE') });
  });

  test('a disk of a member that is gone is opened alone, and the changes behind it are replayed', async () => {
    const victim = 'maaaaaaa1';
    scene.cluster.nanny(victim).killGroup();
    await scene.cluster.nanny(victim).exited;
    for (let n = 0; n < 30; n += 1) {
      // It may have led.
      await until('it is written', () => scene.put(`gone/${n}`, `${n}`).then(() => true));
    }
    const live = await scene.revision();
    await scene.shipped(b, live);
    const { hash, compactRevision, keys } = await scene.truth(live);
    const copy = `${scene.cluster.dir}/copied-disk`;
    await cp(scene.cluster.memberDir(victim), `${copy}/${victim}`, {
      recursive: true,
      verbatimSymlinks: true,
    });
    const { end } = await scene.work(
      { source: { kind: 'disk' }, deltas, compactRevision, output: { key: fullKey('01DISK') } },
      { NANNY_DATA_DIR: copy },
    );
    expect(resultOf(end)).toMatchObject({ revision: live, hash, keys: keys.length });
    expect(resultOf(end).replayed).toBeGreaterThanOrEqual(30);
    expect(resultOf(end).output?.key).toBe(fullKey('01DISK'));
    // Something else has reached as far: it says how far it is, and publishes nothing.
    const again = await scene.work(
      { source: { kind: 'disk' }, deltas, output: { key: fullKey('01DISK2'), above: live } },
      { NANNY_DATA_DIR: copy },
    );
    expect(resultOf(again.end)).toMatchObject({ revision: live });
    expect(resultOf(again.end)).not.toHaveProperty('output');
    expect(scene.s3.bucket.objects.has(fullKey('01DISK2'))).toBe(false);
    scene.cluster.launch(victim);
    await scene.cluster.ready(victim);
  });

  if (version === versions.find((each) => each.startsWith('3.6.')))
    test(`killed ${kills} times in snapshots and shipping, a nanny leaves nothing half and goes on`, async () => {
      for (let n = 0; n < 20; n += 1) await scene.put(`heavy/${n}`, Buffer.alloc(700_000, n));
      for (let round = 0; round < kills; round += 1) {
        const key = fullKey(`01KILL${round}`);
        // The one before may be noted on the disk still.
        await until('it begins', () => scene.post(b, '/v1/snapshot', { bucket: bucketName, key }));
        const waitMs = Math.random() * 500;
        const writing = (async () => {
          for (let n = 0; n < 30; n += 1) {
            // The one that is killed may lead.
            await until('it is written', () => scene.put(`kill/${n}`, `${round}`).then(() => true));
          }
        })();
        await delay(waitMs);
        scene.cluster.nanny(b).killGroup();
        await scene.cluster.nanny(b).exited;
        await writing;
        scene.cluster.launch(b);
        await scene.cluster.ready(b);
        if (round % 4 === 0) await scene.full(b, key);
      }
      await scene.shipped(b, await scene.revision());
      const last = await scene.full(b, fullKey('01AFTER'));
      expect(last.revision).toBe(await scene.revision());
      expect(chainOf(full.revision, scene.segments())).toMatchObject({ kind: 'whole', last: last.revision });
      for (const [key] of scene.s3.bucket.objects) {
        if (key.startsWith(deltaPrefix)) {
          await unpackSegment(await scene.s3.content(key));
        } else if (key.includes('KILL')) {
          const hash = new TrailingHash();
          hash.update(await scene.s3.content(key));
          hash.finish();
        }
      }
      await until('no upload is left over', () => scene.s3.bucket.uploads.size === 0);
    }, 400_000);
});
