import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleNanny } from '../../../../node-image/bundle.ts';
import type { ClientTls } from '../../../../node-image/src/etcd/grpc.ts';
import { statusOf } from './admin-client.ts';
import { FakeControlPlane } from './fake-control-plane.ts';
import { NannyProcess } from './nanny-process.ts';
import { until } from './until.ts';
import { etcdRoot } from './versions.ts';

/** Three bundled nannies with real etcd and a fake control plane, on loopback addresses of their own. */
export class NannyCluster {
  readonly members = { maaaaaaa1: '127.75.0.1', maaaaaaa2: '127.75.0.2', maaaaaaa3: '127.75.0.3' };
  readonly nannies = new Map<string, NannyProcess>();
  readonly controlPlane: FakeControlPlane;
  readonly dir: string;
  tls!: ClientTls;
  readonly #bundle: string;

  private constructor(version: string, dir: string, s3Url: string | undefined) {
    this.dir = dir;
    this.#bundle = join(dir, 'nanny.mjs');
    this.controlPlane = new FakeControlPlane({
      ip: '127.75.0.250',
      port: 4750,
      tenantId: 'acme',
      members: this.members,
      version,
      ...(s3Url !== undefined && { s3Url }),
    });
  }

  static async start(version: string, s3Url?: string): Promise<NannyCluster> {
    const cluster = new NannyCluster(version, await mkdtemp(join(tmpdir(), 'nanny-e2e-')), s3Url);
    await bundleNanny(cluster.#bundle);
    await cluster.controlPlane.start();
    cluster.tls = await cluster.controlPlane.controlPlaneLeaf();
    for (const name of Object.keys(cluster.members)) cluster.launch(name);
    return cluster;
  }

  launch(name: string, change: Record<string, string> = {}): NannyProcess {
    const environment = this.controlPlane.environment(name, join(this.dir, 'data'), etcdRoot);
    const nanny = new NannyProcess(this.#bundle, { ...environment, ...change });
    this.nannies.set(name, nanny);
    return nanny;
  }

  nanny(name: string): NannyProcess {
    return this.nannies.get(name)!;
  }

  memberDir(name: string): string {
    return join(this.dir, 'data', name);
  }

  async status(name: string) {
    return await statusOf(this.tls, this.controlPlane.members[name]!);
  }

  async ready(name: string, timeoutMs = 30_000) {
    return await until(
      `${name} is ready`,
      async () => {
        const status = await this.status(name);
        return status.etcd.state === 'ready' && status.self ? { ...status, self: status.self } : undefined;
      },
      timeoutMs,
    );
  }

  async leader(): Promise<string> {
    return await until('there is a leader', async () => {
      for (const name of this.nannies.keys()) {
        const status = await this.status(name).catch(() => undefined);
        if (status?.self && status.self.leader === status.self.etcdId) return name;
      }
      return undefined;
    });
  }

  async stop(): Promise<void> {
    for (const nanny of this.nannies.values()) nanny.signal('SIGTERM');
    await Promise.race([
      Promise.all([...this.nannies.values()].map((nanny) => nanny.exited)),
      new Promise((resolve) => setTimeout(resolve, 25_000)),
    ]);
    for (const nanny of this.nannies.values()) nanny.killGroup();
    await this.controlPlane.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
