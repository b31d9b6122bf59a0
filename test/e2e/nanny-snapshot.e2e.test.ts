import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshotProgressSchema } from '../../lambdas/core/wire/admin.ts';
import type { RestoreOrder } from '../../lambdas/core/wire/join.ts';
import { EtcdClient } from '../../node-image/src/etcd/client.ts';
import { admin } from '../node-image/src/support/admin-client.ts';
import { bucketName, LocalS3 } from '../node-image/src/support/local-s3.ts';
import { NannyCluster } from '../node-image/src/support/nanny-cluster.ts';
import { until } from '../node-image/src/support/until.ts';
import { etcdRoot, etcdVersionsAtHand } from '../node-image/src/support/versions.ts';

const names = ['maaaaaaa1', 'maaaaaaa2', 'maaaaaaa3'];
const restored = { mbbbbbbb1: '127.75.0.11', mbbbbbbb2: '127.75.0.12', mbbbbbbb3: '127.75.0.13' };
const bumpRevision = 1_000_000_000;
const key = 'c1/acme/1/full/recovery.snap';
const run = promisify(execFile);

describe.each(await etcdVersionsAtHand())('quorum lost, etcd %s', (version) => {
  let s3: LocalS3;
  let cluster: NannyCluster;
  let tenant: { ca: string; cert: string; key: string };
  let survivor: string;
  let order: RestoreOrder;
  let revision = 0;

  beforeAll(async () => {
    s3 = new LocalS3('127.75.0.251', 4751);
    await s3.start();
    cluster = await NannyCluster.start(version, s3.url);
    tenant = await cluster.controlPlane.tenantClient('alice');
    await Promise.all(names.map((name) => cluster.ready(name)));
  });
  afterAll(async () => {
    await cluster.stop();
    await s3.stop();
  });

  const ipOf = (name: string) => cluster.controlPlane.members[name]!;
  const change = (name: string, path: string, body: object, fence = 1) =>
    admin(cluster.tls, ipOf(name), path, { fence, body });
  const snapshotOf = async (name: string, wanted = key) => {
    const answer = await change(name, '/v1/snapshot', { bucket: bucketName, key: wanted });
    if (answer.body.error) throw new Error(answer.body.error.message);
    const progress = snapshotProgressSchema.parse(answer.body);
    return progress.state === 'running' ? undefined : progress;
  };

  test('HashKV of one revision is the same on all members', async () => {
    const client = new EtcdClient(`https://${ipOf(names[0]!)}:2379`, tenant);
    for (let n = 0; n < 200; n += 1) {
      const value = Buffer.alloc(n % 10 === 0 ? 700_000 : 2_000, `${n} `);
      await client.call('put', { key: Buffer.from(`data/${n % 150}`), value });
    }
    await client.call('deleteRange', { key: Buffer.from('data/7') });
    revision = Number((await client.call('range', { key: Buffer.from('data/1') })).header!.revision);
    client.close();
    const hashes = await Promise.all(
      names.map((name) =>
        until('it has got that far', async () => {
          const { status, body } = await change(name, '/v1/hashkv', { revision }, 0);
          return status === 200 ? body : undefined;
        }),
      ),
    );
    expect(hashes[0]).toMatchObject({ hashRevision: revision, compactRevision: expect.any(Number) });
    expect(new Set(hashes.map((hash) => JSON.stringify(hash))).size).toBe(1);
    const future = await change(names[0]!, '/v1/hashkv', { revision: revision + 1_000 }, 0);
    expect(future.body.error?.code).toBe('future-revision');
  });

  test('a survivor without quorum gives its snapshot, proven by etcd, and says that it cannot read', async () => {
    survivor = await cluster.leader();
    for (const name of names.filter((other) => other !== survivor)) {
      cluster.nanny(name).killGroup();
      await cluster.nanny(name).exited;
      cluster.nannies.delete(name);
    }
    await until('it knows', async () => (await cluster.status(survivor)).readProblem !== undefined);
    expect((await change(survivor, '/v1/snapshot', { bucket: bucketName, key })).body).toEqual({
      state: 'running',
      bytes: 0,
    });
    const done = await until('it is published', () => snapshotOf(survivor));
    const content = await s3.content(key);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const contentAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(done).toEqual({ state: 'done', bytes: content.length, sha256, revision, contentAt });
    expect(content.length).toBeGreaterThan(6 * 1024 * 1024);
    const file = join(cluster.dir, 'copy.snap');
    await writeFile(file, content);
    const { stdout } = await run(join(etcdRoot, version, 'etcdutl'), [
      'snapshot',
      'status',
      file,
      '-w',
      'json',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ revision });
    // Asked again, it is the same one; the key of another is never written over.
    const calls = s3.calls.length;
    expect(await snapshotOf(survivor)).toEqual(done);
    expect(s3.calls.length).toBe(calls);
    order = {
      bucket: bucketName,
      key,
      sha256,
      bumpRevision,
      initialCluster: Object.entries(restored)
        .map(([name, ip]) => `${name}=https://${ip}:2380`)
        .join(','),
      initialAdvertisePeerUrl: 'https://127.0.0.1:2380',
      token: 'token-of-incarnation-2',
    };
  });

  test('a key that is taken is refused, and the object under it stays', async () => {
    const taken = 'c1/acme/1/full/taken.snap';
    await s3.seed(taken, Buffer.from('precious'));
    const failed = await until('it is refused', () => snapshotOf(survivor, taken));
    expect(failed).toMatchObject({ state: 'failed', problem: expect.stringContaining('take another key') });
    expect((await s3.content(taken)).toString()).toBe('precious');
    expect([...s3.bucket.uploads.values()]).toEqual([]);
  });

  test('three members restore it: data equal, revisions beyond all that was ever seen, old ones compacted', async () => {
    cluster.nanny(survivor).killGroup();
    await cluster.nanny(survivor).exited;
    cluster.nannies.delete(survivor);
    const { controlPlane } = cluster;
    Object.assign(controlPlane.members, restored);
    const peers = controlPlane.peerUrls(Object.keys(restored));
    controlPlane.answerJoin = async (request) =>
      request.memberName in restored
        ? await controlPlane.boot(request, 'restore', peers, {
            ...order,
            initialAdvertisePeerUrl: peers[request.memberName]!,
          })
        : undefined;
    for (const name of Object.keys(restored)) cluster.launch(name);
    const statuses = await Promise.all(Object.keys(restored).map((name) => cluster.ready(name, 60_000)));
    expect(new Set(statuses.map(({ self }) => self.clusterId)).size).toBe(1);
    expect(statuses.map((status) => status.incarnation)).toEqual([2, 2, 2]);
    const client = new EtcdClient(`https://${restored.mbbbbbbb2}:2379`, tenant);
    const { kvs, header } = await client.call('range', {
      key: Buffer.from('data/'),
      rangeEnd: Buffer.from('data0'),
    });
    expect(kvs.length).toBe(149);
    for (const { key: name, value } of kvs) {
      const n = Number(name.toString().split('/')[1]);
      const newest = n < 50 ? n + 150 : n;
      expect(value.toString('utf8', 0, 3)).toBe(`${newest} `.repeat(3).slice(0, 3));
    }
    expect(Number(header?.revision)).toBeGreaterThanOrEqual(revision + bumpRevision);
    await expect(
      client.call('range', { key: Buffer.from('data/1'), revision: String(revision) }),
    ).rejects.toMatchObject({ code: 'compacted' });
    await client.call('put', { key: Buffer.from('after'), value: Buffer.from('restore') });
    client.close();
    for (const name of Object.keys(restored)) {
      expect(existsSync(join(cluster.memberDir(name), 'restore'))).toBe(false);
    }
    // A nanny that is killed and started again goes on with what it has.
    cluster.nanny('mbbbbbbb1').killGroup();
    await cluster.nanny('mbbbbbbb1').exited;
    cluster.launch('mbbbbbbb1');
    const again = await cluster.ready('mbbbbbbb1');
    expect(again.self.etcdId).toBe(statuses[0]!.self.etcdId);
    expect(
      cluster
        .nanny('mbbbbbbb1')
        .messages()
        .map(({ msg }) => msg),
    ).not.toContain('Restoring a snapshot');
  });

  test.each(['on the way', 'in the store'])('a byte flipped %s is refused', async (where) => {
    const { controlPlane } = cluster;
    const content = Buffer.from(await s3.content(key));
    content[20_000]! ^= 1;
    const flipped = `c1/acme/1/full/flipped-${where === 'in the store'}.snap`;
    await s3.seed(flipped, content);
    // Altered before anybody hashed it: only etcd's own hash at the end tells.
    const sha256 =
      where === 'in the store' ? createHash('sha256').update(content).digest('hex') : order.sha256;
    const name = where === 'in the store' ? 'mccccccc1' : 'mccccccc2';
    controlPlane.members[name] = '127.75.0.21';
    const peers = controlPlane.peerUrls([name]);
    const url = peers[name]!;
    controlPlane.answerJoin = async (request) =>
      await controlPlane.boot(request, 'restore', peers, {
        ...order,
        key: flipped,
        sha256,
        initialCluster: `${name}=${url}`,
        initialAdvertisePeerUrl: url,
      });
    const nanny = cluster.launch(name);
    const status = await until('it is refused', async () => {
      const now = await cluster.status(name);
      return now.etcd.state === 'data-lost' ? now : undefined;
    });
    expect(status.etcd.lastExit?.reason).toContain(
      where === 'in the store' ? 'etcdutl snapshot restore' : 'SHA-256',
    );
    expect(existsSync(join(cluster.memberDir(name), 'etcd'))).toBe(false);
    nanny.signal('SIGTERM');
    await nanny.exited;
    cluster.nannies.delete(name);
  });
});
