import { X509Certificate } from 'node:crypto';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificatesIn } from '../../lambdas/core/authority.ts';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { type Credentials, etcdctl, issueCredentials, type KeyPair } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { isWell } from './support/operating.ts';
import { timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = 'acme';
let cloud: TestCloud;
let before: TenantDocument;
let old: Credentials;
let load: Load;
beforeAll(async () => {
  cloud = await testCloud();
  before = await cloud.create(tenantId);
  old = await issueCredentials(cloud, tenantId, 'old');
  load = await startLoad(cloud, tenantId);
});
afterAll(async () => {
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

const read = () => cloud.tenant(tenantId);
const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;
const isBy = (certificate: string, ca: string): boolean =>
  new X509Certificate(certificate).verify(new X509Certificate(ca).publicKey);

/** The certificate that a member serves; fails as a client's handshake would. TLS 1.2 tells of a refusal before it ends. */
const dial = (url: string, { caBundle: ca, certificate: cert, privateKey: key }: KeyPair, port?: number) =>
  new Promise<DetailedPeerCertificate>((resolve, reject) => {
    const { hostname, port: own } = new URL(url);
    const socket = connect({
      host: hostname,
      port: port ?? Number(own),
      ca,
      cert,
      key,
      maxVersion: 'TLSv1.2',
    });
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate(true));
      socket.destroy();
    });
  });

/** Every member lets this client in. @returns SHA-256 of who signed what they serve */
const dialAll = async (pair: KeyPair): Promise<string[]> => {
  const served = await Promise.all((await read()).endpoints.map((url) => dial(url, pair)));
  return served.map(({ issuerCertificate }) => issuerCertificate.fingerprint256);
};

const calm = async (): Promise<TenantDocument> =>
  until('all is well and nothing is under way', async () => {
    const tenant = await read();
    const well = isWell(tenant);
    return tenant.phase === 'available' && tenant.operation === null && well && tenant;
  });

/** The same members and tasks, no write lost, none that failed twice. */
async function nothingWasLost(): Promise<void> {
  await expectNothingLost(load);
  const { members } = await read();
  expect(members.map(({ taskArn }) => taskArn)).toEqual(before.members.map(({ taskArn }) => taskArn));
}

test('another CA: a client of the old one goes on to its end, a new one works at once', async () => {
  const startedAt = Date.now();
  const { code, stdout, stderr } = await cloud.cli('rotate-ca', tenantId, '--wait');
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  expect(stdout).toContain('the old one is trusted until');
  console.log(`Everybody trusts both after ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`);

  const tenant = await calm();
  const rotation = tenant.certificateAuthority?.rotation;
  expect(rotation).toMatchObject({ phase: 'grace' });
  expect(Date.parse(rotation!.oldTrustedUntil!)).toBeGreaterThanOrEqual(Date.parse(old.notAfter));

  const fresh = await issueCredentials(cloud, tenantId, 'new');
  const [oldCa = '', newCa = ''] = certificatesIn(fresh.caBundle);
  expect([oldCa, isBy(fresh.certificate, newCa)]).toEqual([old.caBundle, true]);
  // The old client knows the old CA alone, so that is what members have to show until it has ended.
  expect(await dialAll(old)).toEqual(Array(3).fill(fingerprint(oldCa)));
  expect(await dialAll(fresh)).toEqual(Array(3).fill(fingerprint(oldCa)));
  await load.goesOn();
  await nothingWasLost();
  const ctl = await etcdctl(cloud, tenantId);
  // For the next client, whose history begins with nothing.
  expect(await ctl.run('del', '--prefix', 'load/')).toMatch(/^\d+$/);
  ctl.dispose();
}, 120_000);

test('the old CA taken out at once: nobody trusts it any more, its clients are refused', async () => {
  // A client of the new CA, as all have to be by then.
  load = await startLoad(cloud, tenantId);
  const fresh = await issueCredentials(cloud, tenantId, 'new');
  const [, newCa = ''] = certificatesIn(fresh.caBundle);
  const startedAt = Date.now();
  const { code, stdout } = await cloud.cli('rotate-ca', tenantId, '--retire-old-now', '--wait');
  expect([code, stdout]).toEqual([0, expect.stringContaining('trusts the new certificate authority alone')]);
  console.log(`The old one is forgotten after ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`);

  expect((await calm()).certificateAuthority?.rotation).toBeNull();
  expect(await dialAll(fresh)).toEqual(Array(3).fill(fingerprint(newCa)));
  const now = await issueCredentials(cloud, tenantId, 'now');
  expect(now.caBundle).toBe(newCa);
  expect(await dialAll(now)).toEqual(Array(3).fill(fingerprint(newCa)));
  const trusting = { ...old, caBundle: fresh.caBundle };
  for (const url of before.endpoints) {
    // etcd's clients, its peers, the nanny, the metrics.
    for (const port of [2379, 2380, 2378, 2381]) {
      await expect(dial(url, trusting, port), `port ${port}`).rejects.toThrow(
        /alert|ECONNRESET|before secure TLS/,
      );
    }
  }
  await load.goesOn();
  await nothingWasLost();
  const told = (await timelineOf(cloud, tenantId)).map(({ message }) => message);
  expect(told.filter((line) => line.includes('has read whom to trust anew'))).toHaveLength(6);
  expect(told.filter((line) => line.startsWith('Remediation begins'))).toEqual([]);
}, 120_000);

test('a task that AWS is going to retire is replaced by surge; the newcomer and the others let each other in', async () => {
  const [victim] = (await read()).members;
  await cloud.cloud.hurt.act({ do: 'retire', member: victim!.name });
  await until(
    `${victim!.name} to be replaced`,
    async () => {
      const { members } = await read();
      const there = members.some(({ name }) => name === victim!.name);
      return !there && members.length === 3 && members.every(({ healthy }) => healthy);
    },
    { deadlineMs: 120_000 },
  );
  await calm();
  const { caBundle } = await issueCredentials(cloud, tenantId);
  expect(await dialAll(await issueCredentials(cloud, tenantId))).toEqual(
    Array(3).fill(fingerprint(caBundle)),
  );
  const told = (await timelineOf(cloud, tenantId)).map(({ message }) => message);
  expect(told).toContainEqual(expect.stringMatching(/AWS retires its task on \w+, \d+ \w+ \d{4}/));
}, 150_000);
