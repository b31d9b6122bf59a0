import 'reflect-metadata';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { beforeAll, describe, expect, test } from 'vitest';
import { InvalidRequestError } from '../../lambdas/core/errors.ts';
import type { CertificateAuthority } from '../../lambdas/core/ports.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';

const now = new Date('2026-11-22T12:00:00.700Z');
const pki = createPki({ clock: { now: () => now } });
const day = 86_400_000;
let ca: CertificateAuthority;

beforeAll(async () => {
  ca = await pki.createAuthority('acme');
});

const oids = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };

async function request(
  algorithm: Record<string, unknown> = { name: 'ECDSA', namedCurve: 'P-256' },
): Promise<string> {
  const keys = (await crypto.subtle.generateKey(algorithm as { name: 'ECDSA'; namedCurve: string }, true, [
    'sign',
    'verify',
  ])) as Awaited<ReturnType<typeof crypto.subtle.generateKey>> as never;
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=etcd-peer,OU=peer',
    keys,
    signingAlgorithm: { ...algorithm, hash: 'SHA-256' } as { name: string; hash: string },
  });
  return csr.toString('pem');
}

async function memberLeaves() {
  const [peer, server, admin, client] = await Promise.all([request(), request(), request(), request()]);
  return pki.signMemberLeaves(
    ca,
    { tenantId: 'acme', memberName: 'mabcdefgh', ip: '10.0.1.7', dnsName: 'acme.etcd-nanny.internal' },
    { peer: peer!, server: server!, admin: admin!, client: client! },
    ca.certificate,
  );
}

describe('the authority', () => {
  test('is an ECDSA P-256 CA of ten years that may sign leaves only', () => {
    const certificate = new X509Certificate(ca.certificate);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe('O=etcd-nanny\nCN=acme etcd CA');
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    const years = (certificate.validToDate.getTime() - now.getTime()) / day / 365.25;
    expect(years).toBeGreaterThan(9.9);
    expect(years).toBeLessThan(10.1);
    const parsed = new x509.X509Certificate(ca.certificate);
    const constraints = parsed.getExtension(x509.BasicConstraintsExtension)!;
    expect(constraints).toMatchObject({ ca: true, pathLength: 0, critical: true });
    const usages = parsed.getExtension(x509.KeyUsagesExtension)!;
    expect(usages.usages & x509.KeyUsageFlags.keyCertSign).toBeTruthy();
  });

  test('gives out its key as PKCS#8 that belongs to its certificate', () => {
    expect(ca.key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(ca.certificate.endsWith('-----END CERTIFICATE-----\n')).toBe(true);
  });
});

describe('member leaves', () => {
  test.each([
    ['peer', 'O=etcd-nanny\nOU=peer\nCN=etcd-peer', [oids.server, oids.client]],
    ['server', 'O=etcd-nanny\nOU=server', [oids.server, oids.client]],
    ['admin', 'O=etcd-nanny\nOU=nanny-admin\nCN=etcd-nanny-admin', [oids.server, oids.client]],
    ['client', 'O=etcd-nanny\nOU=nanny-client\nCN=root', [oids.client]],
  ] as const)('%s has exactly the subject and usages of the table', async (role, subject, usages) => {
    const certificate = new X509Certificate((await memberLeaves())[role]);
    expect(certificate.subject).toBe(subject);
    expect([...certificate.keyUsage].sort()).toEqual([...usages].sort());
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(new X509Certificate(ca.certificate).publicKey)).toBe(true);
    if (role === 'client') expect(certificate.subjectAltName).toBeUndefined();
    else {
      expect(certificate.subjectAltName).toBe(
        'IP Address:10.0.1.7, IP Address:127.0.0.1, DNS:localhost, DNS:acme.etcd-nanny.internal',
      );
    }
  });

  test('live 30 days, start 5 minutes in the past and have their own positive serial numbers', async () => {
    const leaves = await memberLeaves();
    const certificates = [leaves.peer, leaves.server, leaves.admin, leaves.client].map(
      (pem) => new X509Certificate(pem),
    );
    for (const certificate of certificates) {
      expect(certificate.validFromDate.toISOString()).toBe('2026-11-22T11:55:00.000Z');
      expect(certificate.validToDate.toISOString()).toBe('2026-12-22T12:00:00.000Z');
      expect(certificate.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    }
    expect(leaves.notAfter).toBe('2026-12-22T12:00:00.000Z');
    expect(new Set(certificates.map((certificate) => certificate.serialNumber)).size).toBe(4);
    expect(leaves.caBundle).toBe(ca.certificate);
  });

  test('name the request that is bad', async () => {
    const good = await request();
    const identity = { tenantId: 'acme', memberName: 'mabcdefgh', ip: '10.0.1.7', dnsName: 'a.b' };
    const csrs = { peer: good, server: 'nonsense', admin: good, client: good };
    const error = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate).catch((caught) => caught);
    expect(error).toBeInstanceOf(InvalidRequestError);
    expect(error.problems[0].field).toBe('csrs.server');
  });
});

describe('the control plane leaf', () => {
  test('is a client certificate that lasts as long as its CA: only a rotation brings another', async () => {
    const leaf = await pki.createControlPlaneLeaf(ca, 'acme');
    const certificate = new X509Certificate(leaf.certificate);
    expect(certificate.subject).toBe('O=etcd-nanny\nOU=control-plane\nCN=control-plane');
    expect(certificate.keyUsage).toEqual([oids.client]);
    expect(certificate.validTo).toBe(new X509Certificate(ca.certificate).validTo);
  });
});

describe('tenant clients', () => {
  test('get CN = user, whatever their request says', async () => {
    const issued = await pki.signClient(ca, 'alice', await request(), 3600);
    const certificate = new X509Certificate(issued.certificate);
    expect(certificate.subject).toBe('O=etcd-nanny\nOU=tenant-client\nCN=alice');
    expect(certificate.keyUsage).toEqual([oids.client]);
    expect(issued.notAfter).toBe('2026-11-22T13:00:00.000Z');
    expect(issued.serialNumber).toBe(certificate.serialNumber.toLowerCase());
  });

  test('may bring EC P-384 and RSA 2048 keys', async () => {
    const rsa = {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: 'SHA-256',
    };
    for (const algorithm of [{ name: 'ECDSA', namedCurve: 'P-384' }, rsa]) {
      const issued = await pki.signClient(ca, 'alice', await request(algorithm), 3600);
      expect(issued.certificate).toContain('BEGIN CERTIFICATE');
    }
  });

  test('get a key made for them that fits the request', async () => {
    const made = await pki.createClientKey('alice');
    const issued = await pki.signClient(ca, 'alice', made.csr, 3600);
    const { createPrivateKey } = await import('node:crypto');
    expect(new X509Certificate(issued.certificate).checkPrivateKey(createPrivateKey(made.key))).toBe(true);
  });

  test('never outlive the authority', async () => {
    const later = createPki({
      clock: {
        now: () => new Date(new X509Certificate(ca.certificate).validToDate.getTime() - 2 * 3600_000),
      },
    });
    const issued = await later.signClient(ca, 'alice', await request(), 86_400);
    expect(issued.notAfter).toBe(new X509Certificate(ca.certificate).validToDate.toISOString());
  });

  test.each(['etcd-peer', 'control-plane', 'etcd-nanny', 'etcd-nanny-admin', 'Etcd-Peer'])(
    'cannot be the reserved user %s',
    async (user) => {
      await expect(pki.signClient(ca, user, await request(), 3600)).rejects.toThrow(/reserved/);
    },
  );

  test.each([3599, 31_536_001, 3600.5, Number.NaN])('cannot live %d seconds', async (ttl) => {
    const error = await pki.signClient(ca, 'alice', await request(), ttl).catch((caught) => caught);
    expect(error.problems[0]).toMatchObject({ field: 'ttlSeconds' });
  });

  test('cannot use weak or foreign keys', async () => {
    const rsa1024 = {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: 'SHA-256',
    };
    await expect(pki.signClient(ca, 'alice', await request(rsa1024), 3600)).rejects.toThrow(/1024 bits/);
    await expect(
      pki.signClient(ca, 'alice', await request({ name: 'ECDSA', namedCurve: 'P-521' }), 3600),
    ).rejects.toThrow(/secp521r1/);
    await expect(pki.signClient(ca, 'alice', await request({ name: 'Ed25519' }), 3600)).rejects.toThrow(
      /ed25519/,
    );
  });

  test('must hold the key of their request', async () => {
    const der = x509.PemConverter.decodeFirst(await request());
    const bytes = Buffer.from(der);
    bytes[bytes.length - 5]! ^= 0xff;
    const forged = x509.PemConverter.encode(bytes, 'CERTIFICATE REQUEST');
    await expect(pki.signClient(ca, 'alice', forged, 3600)).rejects.toThrow(/signature/);
  });

  test('cannot send something else in place of a request', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spki = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    for (const bad of [
      '',
      'hello',
      spki,
      ca.certificate,
      `${await request()}\n${await request()}`,
      'x'.repeat(9000),
    ]) {
      await expect(pki.signClient(ca, 'alice', bad, 3600)).rejects.toBeInstanceOf(InvalidRequestError);
    }
    const empty = x509.PemConverter.encode(Buffer.from([0x30, 0x00]), 'CERTIFICATE REQUEST');
    await expect(pki.signClient(ca, 'alice', empty, 3600)).rejects.toThrow(/not a PKCS#10/);
  });
});
