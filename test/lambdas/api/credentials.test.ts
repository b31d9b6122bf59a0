import { createPrivateKey, X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Pki } from '../../../lambdas/core/model/pki.ts';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { createWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = createWorld();
  await world.send('PUT', '/v1/tenants/acme', {});
  await world.finishCreation('acme');
});
const issue = (body: unknown, headers?: Record<string, string>, tenant = 'acme') =>
  world.send('POST', `/v1/tenants/${tenant}/credentials`, body, headers ? { headers } : {});

describe('credentials', () => {
  test('with a request: a certificate for it, and no key', async () => {
    const { csr, key } = await createPki({ clock: { now: () => new Date() } }).createClientKey('x');
    const { status, body } = await issue({ user: 'alice', ttlSeconds: 7200, csr });
    expect(status).toBe(200);
    expect(Object.keys(body).sort()).toEqual(['caBundle', 'certificate', 'notAfter', 'user']);
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.subject).toBe('O=etcd-nanny\nOU=tenant-client\nCN=alice');
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.checkIssued(new X509Certificate(body.caBundle))).toBe(true);
    expect(body.notAfter).toBe('2026-11-22T14:00:00.000Z');
  });

  test('without a request: a key made for the caller, for a day', async () => {
    const { body } = await issue({ user: 'alice' });
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.checkPrivateKey(createPrivateKey(body.privateKey))).toBe(true);
    expect(body.notAfter).toBe('2026-11-23T12:00:00.000Z');
  });

  test('a key is given out once and stored nowhere', async () => {
    const { body } = await issue({ user: 'alice' }, { 'idempotency-key': 'one' });
    const again = await issue({ user: 'alice' }, { 'idempotency-key': 'one' });
    expect(again.status).toBe(409);
    expect(again.body).toMatchObject({
      code: 'already-issued',
      detail: expect.stringMatching(/new Idempotency-Key/),
    });
    const kept = await world.store.getIdempotent('acme', 'one');
    expect(kept?.body).toBe('');
    const events = JSON.stringify(await world.store.listEvents('acme', { limit: 100 }));
    expect(events).toMatch(/issued for user \\"alice\\"/);
    expect(events).not.toContain(body.privateKey.split('\n')[1]);
  });

  test('with a request, the same Idempotency-Key answers the same certificate', async () => {
    const { csr } = await createPki({ clock: { now: () => new Date() } }).createClientKey('x');
    const first = await issue({ user: 'alice', csr }, { 'idempotency-key': 'one' });
    const again = await issue({ user: 'alice', csr }, { 'idempotency-key': 'one' });
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
  });

  test('are not issued for a tenant that is being deleted', async () => {
    await world.send('DELETE', '/v1/tenants/acme');
    const answer = await issue({ user: 'alice' });
    expect(answer.status).toBe(409);
    expect(answer.body.code).toBe('deleting');
  });
});

describe('while the certificate authority is replaced', () => {
  const pki = async () => (await world.store.get('acme'))!.pki!;
  const write = (change: Partial<Pki>) =>
    world.write('acme', (tenant) => ({ ...tenant, pki: { ...tenant.pki!, ...change } }));

  test('the end of the last certificate is known, to the full hour', async () => {
    await write({ clientsUntil: '2026-11-22T12:00:00.000Z' });
    await issue({ user: 'alice', ttlSeconds: 7_000 });
    expect((await pki()).clientsUntil).toBe('2026-11-22T14:00:00.000Z');
    const { recordVersion } = (await world.store.get('acme'))!;
    await issue({ user: 'bob', ttlSeconds: 7_200 });
    expect((await world.store.get('acme'))!.recordVersion).toBe(recordVersion);
    await issue({ user: 'carol' });
    expect((await pki()).clientsUntil).toBe('2026-11-23T12:00:00.000Z');
  });

  test('a record that never counted does not begin in the middle', async () => {
    await issue({ user: 'alice' });
    expect((await pki()).clientsUntil).toBeUndefined();
  });

  test('in the grace they are of the new one, with both in the bundle, and counted for the new one', async () => {
    const { createAuthority, fingerprint } = createPki({
      clock: { now: () => new Date('2026-11-22T12:00:00Z') },
    });
    const made = await createAuthority('acme');
    const { caBundle: old } = await pki();
    await write({
      caBundle: old + made.certificate,
      clientsUntil: '2026-12-01T00:00:00.000Z',
      rollover: {
        phase: 'grace',
        since: '2026-11-22T12:00:00.000Z',
        reason: 'r',
        immediately: false,
        old: fingerprint(old),
        next: fingerprint(made.certificate),
        until: '2026-12-01T00:00:00.000Z',
        authority: {
          certificate: made.certificate,
          caKey: await world.keyVault.encrypt('acme', 'ca', made.key),
          controlPlaneCertificate: 'x',
          controlPlaneKey: 'x',
          validFrom: made.validFrom,
          validUntil: made.validUntil,
          clientsUntil: made.validFrom,
        },
      },
    });
    const { body } = await issue({ user: 'alice' });
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.verify(new X509Certificate(made.certificate).publicKey)).toBe(true);
    expect(body.caBundle).toBe(old + made.certificate);
    expect(await pki()).toMatchObject({
      clientsUntil: '2026-12-01T00:00:00.000Z',
      rollover: { authority: { clientsUntil: '2026-11-23T12:00:00.000Z' } },
    });
  });
});

describe('connection', () => {
  test('is a document, or a client configuration as text', async () => {
    const json = await world.send('GET', '/v1/tenants/acme/connection');
    expect(json.body).toEqual({
      tenantId: 'acme',
      endpoints: ['https://10.0.0.7:2379', 'https://10.0.1.7:2379', 'https://10.0.2.7:2379'],
      dnsName: 'acme.etcd-nanny.internal',
      caBundle: expect.stringContaining('BEGIN CERTIFICATE'),
      clusterId: 'c1c1',
    });
    const flags = await world.send(
      'GET',
      '/v1/tenants/acme/connection?format=kube-apiserver&endpoints=dns&dir=/etc/etcd/',
    );
    expect(flags.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(flags.text).toBe(
      '--etcd-servers=https://acme.etcd-nanny.internal:2379\n--etcd-cafile=/etc/etcd/ca.pem\n' +
        '--etcd-certfile=/etc/etcd/client.pem\n--etcd-keyfile=/etc/etcd/client-key.pem\n',
    );
  });
});
