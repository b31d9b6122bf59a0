import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { corruptWal } from '../../local/chaos/corrupt.ts';
import { EtcdClient } from '../../node-image/src/etcd/client.ts';
import { admin } from '../node-image/src/support/admin-client.ts';
import { NannyCluster } from '../node-image/src/support/nanny-cluster.ts';
import { until } from '../node-image/src/support/until.ts';
import { etcdVersionsAtHand } from '../node-image/src/support/versions.ts';
import { Writer } from '../node-image/src/support/writer.ts';

const names = ['maaaaaaa1', 'maaaaaaa2', 'maaaaaaa3'];
const ips = ['127.75.0.1', '127.75.0.2', '127.75.0.3'];

describe.each(await etcdVersionsAtHand())('three nannies with etcd %s', (version) => {
  let cluster: NannyCluster;
  let tenant: { ca: string; cert: string; key: string };

  beforeAll(async () => {
    cluster = await NannyCluster.start(version);
    tenant = await cluster.controlPlane.tenantClient('alice');
  });
  afterAll(() => cluster.stop());

  test('form one cluster that a tenant client can write to', async () => {
    const statuses = await Promise.all(names.map((name) => cluster.ready(name)));
    expect(new Set(statuses.map(({ self }) => self.clusterId)).size).toBe(1);
    for (const { self } of statuses) expect(self.version).toBe(version);
    const leader = await cluster.leader();
    const { view } = await until('the leader sees all members', async () => {
      const status = await cluster.status(leader);
      return status.view?.members.every((member) => member.reachable) ? status : undefined;
    });
    expect(view?.members.map(({ name }) => name).sort()).toEqual(names);
    const client = new EtcdClient(`https://${ips[0]}:2379`, tenant);
    await client.call('put', { key: Buffer.from('hello'), value: Buffer.from('world') });
    const { kvs } = await client.call('range', { key: Buffer.from('hello') });
    expect(kvs.map(({ value }) => value.toString())).toEqual(['world']);
    client.close();
  });

  test('watching each second writes nothing to the raft log', async () => {
    // etcd itself proposes a thing or two after its start (version, downgrade info).
    await until('the log is quiet', async () => {
      const before = (await cluster.status(names[0]!)).self?.raftIndex;
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      return before !== undefined && (await cluster.status(names[0]!)).self?.raftIndex === before;
    });
  });

  test('the admin API refuses certificates of tenant clients and callers without a certificate', async () => {
    const refused = await admin(tenant, ips[0]!, '/v1/status');
    expect([refused.status, refused.body.error?.code]).toEqual([403, 'forbidden']);
    await expect(admin({ ca: tenant.ca } as typeof tenant, ips[0]!, '/v1/status')).rejects.toThrow();
  });

  test('an etcd that is killed comes back in place as the same member', async () => {
    const before = await cluster.ready('maaaaaaa2');
    process.kill(before.etcd.pid!, 'SIGKILL');
    const after = await until('etcd is back', async () => {
      const status = await cluster.status('maaaaaaa2');
      return status.etcd.restarts === 1 && status.etcd.state === 'ready' ? status : undefined;
    });
    expect(after.self?.etcdId).toBe(before.self.etcdId);
    expect(after.etcd.lastExit?.signal).toBe('SIGKILL');
    const reported = cluster.controlPlane.reports('maaaaaaa2');
    expect(reported.some(({ etcd }) => etcd.restarts === 1)).toBe(true);
  });

  test('a nanny that is killed comes back with its data while the control plane is down, and renews under load', async () => {
    const before = await cluster.ready('maaaaaaa3');
    await cluster.controlPlane.stop();
    const old = cluster.nanny('maaaaaaa3');
    old.killGroup();
    await old.exited;
    // The task metadata endpoint is not part of the control plane, but this fake serves both: it must be there.
    cluster.controlPlane.failWith = { status: 503, body: { message: 'Service Unavailable' } };
    await cluster.controlPlane.start();
    cluster.launch('maaaaaaa3');
    const after = await cluster.ready('maaaaaaa3');
    expect(after.self.etcdId).toBe(before.self.etcdId);
    expect(after.certificates?.notAfter).toBe(before.certificates?.notAfter);

    // The control plane is back: join gives certificates that are due soon, and renew gives fresh ones.
    const writer = new Writer(tenant, ips);
    cluster.controlPlane.renewalDueInMs = 4_000;
    cluster.controlPlane.failWith = undefined;
    const joined = await until('join has renewed once', async () => {
      const { certificates } = await cluster.status('maaaaaaa3');
      return certificates?.notAfter !== after.certificates?.notAfter ? certificates : undefined;
    });
    const served = await servedCertificates('127.75.0.3', cluster.tls, tenant);
    cluster.controlPlane.renewalDueInMs = undefined;
    await until('the certificates are renewed', async () => {
      const { certificates } = await cluster.status('maaaaaaa3');
      return certificates?.notAfter !== joined.notAfter;
    });
    const renewed = await servedCertificates('127.75.0.3', cluster.tls, tenant);
    expect(renewed.etcd).not.toBe(served.etcd);
    expect(renewed.admin).not.toBe(served.admin);
    await until('writes go on after it', () => writer.written > 100);
    await writer.stop();
    expect(writer.errors).toEqual([]);
    const { etcd } = await cluster.ready('maaaaaaa3');
    expect(etcd.restarts).toBe(0);
  });

  test('an etcd that outlives its killed nanny does not keep the next one from its disk', async () => {
    const before = await cluster.ready('maaaaaaa1');
    const old = cluster.nanny('maaaaaaa1');
    old.signal('SIGKILL');
    const nanny = cluster.launch('maaaaaaa1');
    const after = await cluster.ready('maaaaaaa1');
    expect(after.self.etcdId).toBe(before.self.etcdId);
    expect(after.etcd.pid).not.toBe(before.etcd.pid);
    expect(nanny.messages().filter(({ msg }) => msg === 'etcd started')).toHaveLength(1);
  });

  test('a learner is added, promoted and removed through the admin API, fenced', async () => {
    const { controlPlane } = cluster;
    const change = (path: string, fence: number, body: object) =>
      admin(cluster.tls, ips[0]!, path, { fence, body });
    controlPlane.members.maaaaaaa4 = '127.75.0.4';
    const peerUrl = 'https://127.75.0.4:2380';
    const { etcdId } = await until('etcd takes the learner', async () => {
      const answer = await change('/v1/members/add-learner', 7, { peerUrl });
      if (answer.body.error && !answer.body.error.retryable) throw new Error(answer.body.error.message);
      return answer.status === 200 ? (answer.body as unknown as { etcdId: string }) : undefined;
    });
    const again = await change('/v1/members/add-learner', 7, { peerUrl });
    expect(again).toMatchObject({ status: 200, body: { etcdId } });
    const late = await change('/v1/members/remove', 6, { etcdId });
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'fenced', retryable: false } } });

    controlPlane.answerJoin = async (request) =>
      request.memberName === 'maaaaaaa4' && !request.hasData
        ? await controlPlane.boot(request, 'existing', controlPlane.peerUrls())
        : undefined;
    const nanny = cluster.launch('maaaaaaa4');
    await until('the learner runs', async () => (await cluster.status('maaaaaaa4')).self?.isLearner);
    await until('its nanny calls it one', async () => {
      return (await cluster.status('maaaaaaa4')).etcd.state === 'learner';
    });
    await until('the learner is promoted', async () => {
      const answer = await change('/v1/members/promote', 7, { etcdId });
      if (answer.body.error && !answer.body.error.retryable) throw new Error(answer.body.error.message);
      return answer.status === 200;
    });
    expect((await change('/v1/members/promote', 7, { etcdId })).status).toBe(200);
    expect((await cluster.ready('maaaaaaa4')).self.isLearner).toBe(false);

    await until('etcd removes it again', async () => {
      const answer = await change('/v1/members/remove', 8, { etcdId });
      if (answer.body.error && !answer.body.error.retryable) throw new Error(answer.body.error.message);
      return answer.status === 200;
    });
    const removed = await until('its nanny knows', async () => {
      const status = await cluster.status('maaaaaaa4');
      return status.etcd.state === 'removed' ? status : undefined;
    });
    expect(removed.etcd.lastExit).toMatchObject({ code: 0 });
    expect(await change('/v1/members/remove', 8, { etcdId })).toMatchObject({
      status: 404,
      body: { error: { code: 'member-not-found' } },
    });

    // Killed and started again: that data is never started again, and `leave` ends the nanny with code 0.
    nanny.killGroup();
    await nanny.exited;
    controlPlane.answerJoin = async (request) =>
      request.memberName === 'maaaaaaa4' ? { answer: 'leave', reason: 'you were removed' } : undefined;
    const second = cluster.launch('maaaaaaa4');
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(second.lines.some((line) => line.includes('"source":"etcd"'))).toBe(false);
    cluster.nannies.delete('maaaaaaa4');
    delete controlPlane.members.maaaaaaa4;
    controlPlane.answerJoin = undefined;
  });

  test('SIGTERM hands leadership over and ends with code 0, a second SIGTERM changes nothing', async () => {
    const writer = new Writer(tenant, ips);
    const leader = await cluster.leader();
    const nanny = cluster.nanny(leader);
    const startedAt = Date.now();
    nanny.signal('SIGTERM');
    nanny.signal('SIGTERM');
    expect(await nanny.exited).toEqual({ code: 0, signal: null });
    expect(Date.now() - startedAt).toBeLessThan(15_000);
    expect(nanny.messages().map(({ msg }) => msg)).toContain('Leadership handed over');
    await writer.stop();
    expect(writer.errors).toEqual([]);
    cluster.nannies.delete(leader);
    await cluster.leader();
    cluster.launch(leader);
    await cluster.ready(leader);
    console.log(
      `etcd ${version}: longest gap between writes at the hand-over ${writer.longestGapMs.toFixed()} ms`,
    );
  });

  test('a damaged WAL is reported as lost data and never started again', async () => {
    const name = await followerOf(cluster);
    await stopNanny(cluster, name);
    corruptWal(cluster.memberDir(name));
    const nanny = cluster.launch(name);
    const status = await until('the loss is known', async () => {
      const now = await cluster.status(name);
      return now.etcd.state === 'data-lost' ? now : undefined;
    });
    expect(status.etcd.lastExit?.reason).toContain('damaged');
    await until('it is reported', () =>
      cluster.controlPlane.reports(name).some(({ etcd }) => etcd.state === 'data-lost'),
    );
    await stopNanny(cluster, name);
    expect(nanny.messages().filter(({ msg }) => msg === 'etcd started').length).toBeLessThanOrEqual(3);
  });

  test('a member whose disk was emptied is not started as if it were new', async () => {
    const name = [...cluster.nannies.keys()].find((candidate) => names.includes(candidate))!;
    await stopNanny(cluster, name);
    await rm(cluster.memberDir(name), { recursive: true });
    cluster.controlPlane.answerJoin = async (request) =>
      request.memberName === name
        ? await cluster.controlPlane.boot(request, 'resume', cluster.controlPlane.peerUrls())
        : undefined;
    const nanny = cluster.launch(name);
    await until('the loss is known', async () => (await cluster.status(name)).etcd.state === 'data-lost');
    expect(existsSync(join(cluster.memberDir(name), 'etcd'))).toBe(false);
    expect(nanny.lines.some((line) => line.includes('"source":"etcd"'))).toBe(false);
    cluster.controlPlane.answerJoin = undefined;
  });
});

async function stopNanny(cluster: NannyCluster, name: string): Promise<void> {
  const nanny = cluster.nanny(name);
  nanny.signal('SIGTERM');
  await nanny.exited;
  cluster.nannies.delete(name);
}

async function followerOf(cluster: NannyCluster): Promise<string> {
  const leader = await cluster.leader();
  return names.find((name) => name !== leader)!;
}

/** Fingerprints of what etcd and the admin API show in a new handshake. */
async function servedCertificates(ip: string, own: tls.ConnectionOptions, tenant: tls.ConnectionOptions) {
  const shown = async (port: number, options: tls.ConnectionOptions) =>
    await new Promise<string>((resolve, reject) => {
      const socket = tls.connect({ ...options, host: ip, port }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  return { etcd: await shown(2379, tenant), admin: await shown(2378, own) };
}
