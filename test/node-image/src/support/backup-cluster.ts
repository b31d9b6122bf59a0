import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readDeltaName } from '../../../../lambdas/core/model/backup.ts';
import { snapshotProgressSchema } from '../../../../lambdas/core/wire/admin.ts';
import type { JoinAnswer } from '../../../../lambdas/core/wire/join.ts';
import type { WorkOrder, WorkProgress } from '../../../../lambdas/core/wire/work.ts';
import { EtcdClient } from '../../../../node-image/src/etcd/client.ts';
import type { ClientTls } from '../../../../node-image/src/etcd/grpc.ts';
import { admin } from './admin-client.ts';
import { bucketName, LocalS3 } from './local-s3.ts';
import { NannyCluster } from './nanny-cluster.ts';
import { until } from './until.ts';
import { etcdRoot } from './versions.ts';

const run = promisify(execFile);
const everything = Buffer.from([0]);
export const deltaPrefix = 'c1/acme/1/delta/';
export const fullKey = (name: string) => `c1/acme/1/full/${name}.snap`;

export interface Truth {
  readonly revision: number;
  readonly hash: number;
  readonly compactRevision: number;
  readonly keys: readonly string[];
}

/** Three nannies, an S3, a client with the name root, and etcd's own history to compare restores with. */
export class BackupCluster {
  readonly cluster: NannyCluster;
  readonly s3: LocalS3;
  readonly client: EtcdClient;
  readonly #version: string;
  readonly #tls: ClientTls;
  #workers = 0;
  #restores = 0;

  private constructor(version: string, cluster: NannyCluster, s3: LocalS3, tls: ClientTls) {
    this.#version = version;
    this.cluster = cluster;
    this.s3 = s3;
    this.#tls = tls;
    this.client = new EtcdClient(`https://${cluster.members.maaaaaaa3}:2379`, tls);
  }

  static async start(version: string): Promise<BackupCluster> {
    const s3 = new LocalS3('127.75.0.251', 4751);
    await s3.start();
    const cluster = await NannyCluster.start(version, s3.url);
    await Promise.all(Object.keys(cluster.members).map((name) => cluster.ready(name)));
    return new BackupCluster(version, cluster, s3, await cluster.controlPlane.tenantClient('root'));
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.cluster.stop();
    await this.s3.stop();
  }

  ipOf(name: string): string {
    return this.cluster.controlPlane.members[name]!;
  }

  async post(name: string, path: string, body: object, fence = 1) {
    const answer = await admin(this.cluster.tls, this.ipOf(name), path, { fence, body });
    if (answer.body.error) throw new Error(answer.body.error.message);
    return answer.body;
  }

  /** Takes one, or waits for one that was asked for. */
  async full(name: string, key: string, timeoutMs = 40_000) {
    const ask = async () =>
      snapshotProgressSchema.parse(await this.post(name, '/v1/snapshot', { bucket: bucketName, key }));
    const done = await until(
      'the full is published',
      async () => {
        const progress = await ask();
        return progress.state === 'done' && progress;
      },
      timeoutMs,
    );
    const { sha256, bytes, revision, contentAt } = done;
    return { kind: 'full' as const, key, sha256, bytes, revision, contentAt: contentAt! };
  }

  async ship(name: string, afterRevision: number): Promise<void> {
    const chain = '01K0000000AAAAAAAAAAAAAAAA';
    const order = { ship: true, chain, bucket: bucketName, prefix: deltaPrefix, afterRevision };
    await this.post(name, '/v1/backup', order);
  }

  async shipped(name: string, revision: number): Promise<void> {
    await until(
      `everything up to ${revision} is shipped`,
      async () => {
        const { backup } = await this.cluster.status(name);
        if (backup?.broken) throw new Error(backup.broken);
        return backup !== undefined && backup.shippedRevision >= revision && backup.pending === 0;
      },
      40_000,
    );
  }

  async etcdctl(...args: string[]): Promise<string> {
    const dir = join(this.cluster.dir, 'root');
    await mkdir(dir, { recursive: true });
    const file = async (name: string, content: string) => {
      await writeFile(join(dir, name), content);
      return join(dir, name);
    };
    const { stdout } = await run(join(etcdRoot, this.#version, 'etcdctl'), [
      `--endpoints=https://${this.ipOf('maaaaaaa3')}:2379`,
      `--cacert=${await file('ca.pem', this.#tls.ca)}`,
      `--cert=${await file('cert.pem', this.#tls.cert)}`,
      `--key=${await file('key.pem', this.#tls.key)}`,
      ...args,
    ]);
    return stdout;
  }

  async enableAuth(): Promise<void> {
    await this.etcdctl('user', 'add', 'root', '--no-password');
    await this.etcdctl('user', 'grant-role', 'root', 'root');
    await this.etcdctl('auth', 'enable');
  }

  async put(key: string, value: Buffer | string, lease = '0'): Promise<void> {
    await this.client.call('put', { key: Buffer.from(key), value: Buffer.from(value), lease });
  }

  /** What etcd itself says of this revision; before it is compacted. */
  async truth(revision: number): Promise<Truth> {
    const answer = await this.client.call('hashKv', { revision: String(revision) });
    return {
      revision,
      hash: answer.hash,
      compactRevision: Number(answer.compactRevision),
      keys: await keysOf(this.client, revision),
    };
  }

  async revision(): Promise<number> {
    const { header } = await this.client.call('range', { key: everything, countOnly: true });
    return Number(header!.revision);
  }

  /** A worker from its launch to its end. */
  async work(
    change: Pick<WorkOrder, 'source'> & Partial<WorkOrder>,
    environment: Record<string, string> = {},
  ): Promise<{ end: WorkProgress; told: WorkProgress[]; code: number | null }> {
    const { controlPlane } = this.cluster;
    this.#workers += 1;
    const name = `mwork${String(this.#workers).padStart(4, '0')}`;
    controlPlane.members[name] = `127.75.0.${100 + (this.#workers % 100)}`;
    const order: WorkOrder = {
      orderId: `01K000000${this.#workers}`,
      bucket: bucketName,
      etcdVersion: this.#version,
      ...change,
    };
    const before = controlPlane.answerJoin;
    controlPlane.answerJoin = async (request): Promise<JoinAnswer | undefined> =>
      request.memberName === name ? await controlPlane.work(request, order) : await before?.(request);
    const nanny = this.cluster.launch(name, { NANNY_WORK: '1', ...environment });
    const { code } = await nanny.exited;
    this.cluster.nannies.delete(name);
    controlPlane.answerJoin = before;
    const told = controlPlane.workReports(name);
    return { end: told.at(-1)!, told, code };
  }

  /** Every key that a member of a new incarnation has, made of a snapshot as every restore makes it. */
  async restoredKeys(key: string, sha256: string): Promise<string[]> {
    const { controlPlane } = this.cluster;
    this.#restores += 1;
    const name = `mrest${String(this.#restores).padStart(4, '0')}`;
    const ip = '127.75.0.90';
    controlPlane.members[name] = ip;
    const peers = controlPlane.peerUrls([name]);
    controlPlane.answerJoin = async (request) =>
      request.memberName === name
        ? await controlPlane.boot(request, 'restore', peers, {
            bucket: bucketName,
            key,
            sha256,
            bumpRevision: 1_000_000_000,
            initialCluster: `${name}=${peers[name]}`,
            initialAdvertisePeerUrl: peers[name]!,
            token: `token-${name}`,
          })
        : undefined;
    const nanny = this.cluster.launch(name);
    await this.cluster.ready(name);
    const client = new EtcdClient(`https://${ip}:2379`, this.#tls);
    const keys = await keysOf(client);
    client.close();
    nanny.signal('SIGTERM');
    await nanny.exited;
    this.cluster.nannies.delete(name);
    controlPlane.answerJoin = undefined;
    return keys;
  }

  segments() {
    return [...this.s3.bucket.objects.entries()]
      .flatMap(([key, { size }]) => readDeltaName(key, size) ?? [])
      .sort((a, b) => a.first - b.first);
  }
}

/** Every key with its value, revisions and whether it has a lease, as text. */
export async function keysOf(client: EtcdClient, revision?: number): Promise<string[]> {
  const { kvs } = await client.call('range', {
    key: everything,
    rangeEnd: everything,
    ...(revision !== undefined && { revision: String(revision) }),
  });
  return kvs.map(({ key, value, createRevision, modRevision, version, lease }) =>
    [key.toString(), value.toString('base64'), createRevision, modRevision, version, lease].join(' '),
  );
}
