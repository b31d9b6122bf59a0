import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { renderEtcdArguments } from '../../lambdas/core/etcd-flags.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { defaultCacheDir } from '../../node-image/binaries/cache.ts';
import { createLeafKeys } from '../../node-image/src/csr.ts';
import { etcdVersionsAtHand } from '../node-image/src/support/versions.ts';

const ip = '127.77.0.1';
let running: { process: ChildProcess; folder: string; log: string[] } | undefined;

interface Identity {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** One member with the rendered command line, and the client identity that its nanny would have. */
async function start(
  version: string,
  autoCompaction: Parameters<typeof renderEtcdArguments>[0]['spec']['autoCompaction'],
) {
  const folder = await mkdtemp(join(tmpdir(), 'etcd-flags-'));
  const pki = createPki({ clock: { now: () => new Date() } });
  const ca = await pki.createAuthority('acme');
  const { keys, csrs } = createLeafKeys('maaaaaaaa');
  const identity = { tenantId: 'acme', memberName: 'maaaaaaaa', ip, dnsName: 'acme.etcd.internal' };
  const leaves = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
  await mkdir(join(folder, 'pki'));
  await writeFile(join(folder, 'pki', 'ca.pem'), leaves.caBundle);
  for (const role of ['peer', 'server'] as const) {
    await writeFile(join(folder, 'pki', `${role}.pem`), leaves[role]);
    await writeFile(join(folder, 'pki', `${role}-key.pem`), keys[role], { mode: 0o600 });
  }
  const rendered = renderEtcdArguments({
    version,
    memberName: 'maaaaaaaa',
    ip,
    token: 'token',
    initialCluster: { maaaaaaaa: `https://${ip}:2380` },
    initialClusterState: 'new',
    spec: { quotaMiB: 64, autoCompaction },
  }).map((each) => each.replace('{{data}}', join(folder, 'data')).replace('{{pki}}', join(folder, 'pki')));
  const log: string[] = [];
  const process = spawn(join(defaultCacheDir, version, 'etcd'), rendered, {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  process.stderr.on('data', (chunk: Buffer) => log.push(...chunk.toString().split('\n').filter(Boolean)));
  running = { process, folder, log };
  const nanny = { ca: leaves.caBundle, cert: leaves.client, key: keys.client };
  const deadline = Date.now() + 20_000;
  while ((await get(nanny, 2381, '/readyz').catch(() => undefined))?.status !== 200) {
    if (process.exitCode !== null) throw new Error(`etcd ${version} exited: ${log.slice(-3).join('\n')}`);
    if (Date.now() > deadline) throw new Error(`etcd ${version} is not ready: ${log.slice(-3).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { nanny, log };
}

function get(identity: Partial<Identity>, port: number, path: string, body?: unknown) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request({ host: ip, port, path, method, agent: false, ...identity }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

afterEach(async () => {
  if (running === undefined) return;
  const { process, folder } = running;
  running = undefined;
  if (process.exitCode === null && process.kill('SIGTERM')) await once(process, 'exit');
  await rm(folder, { recursive: true, force: true });
});

describe.each(await etcdVersionsAtHand())('etcd %s with the rendered command line', (version) => {
  test('starts, serves its JSON gateway, and finds nothing to complain about in a flag', async () => {
    const { nanny, log } = await start(version, { mode: 'periodic', retentionMinutes: 5 });
    const put = await get(nanny, 2379, '/v3/kv/put', { key: 'aGVsbG8=', value: 'd29ybGQ=' });
    expect(put.status).toBe(200);
    const lines = log.map((line) => JSON.parse(line) as { level: string; msg: string });
    const complaints = lines.filter(({ msg }) => /deprecat|unrecognized|unsupported|decommission/i.test(msg));
    expect(complaints.map(({ msg }) => msg)).toEqual([]);
  });

  test('refuses callers without a certificate of the tenant, and old TLS', async () => {
    const { nanny } = await start(version, { mode: 'off' });
    for (const port of [2379, 2381]) {
      await expect(get({ ca: nanny.ca }, port, '/readyz')).rejects.toThrow();
    }
    const secured = (options: tls.ConnectionOptions) =>
      new Promise<string>((resolve, reject) => {
        const socket = tls.connect({ host: ip, port: 2379, ...nanny, ...options }, () => {
          resolve(socket.getCipher().name);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    expect(await secured({ maxVersion: 'TLSv1.2' })).toMatch(/^ECDHE-.*(GCM|CHACHA20)/);
    await expect(secured({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' })).rejects.toThrow();
    await expect(secured({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).rejects.toThrow();
  });

  test('takes a revision as auto compaction too', async () => {
    await start(version, { mode: 'revision', retentionRevisions: 1000 });
  });
});
