import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NannyHttpClient } from '../../lambdas/adapters/nanny-http-client.ts';
import { ControlPlaneError, LeaseLostError, TransientError } from '../../lambdas/core/errors.ts';
import type { CertificateAuthority, KeyPurpose, NannyTarget } from '../../lambdas/core/ports.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { tenantRecord } from '../contracts/tenant-record.ts';
import { FakeKeyVault } from '../fakes/fake-key-vault.ts';

const host = '127.73.0.2';
const pki = createPki({ clock: { now: () => new Date() } });
const status: NannyStatus = {
  at: '2026-11-22T10:00:00.000Z',
  tenantId: 'acme',
  memberName: 'mabcdefgh',
  incarnation: 1,
  etcd: { state: 'ready', restarts: 0 },
  alarms: [],
};

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly fence: string | undefined;
  readonly body: string;
  readonly clientUnit: unknown;
}
type Answer = { status: number; body: unknown } | 'silence';

class CountingVault extends FakeKeyVault {
  decrypted = 0;
  override decrypt(tenantId: string, purpose: KeyPurpose, ciphertext: string): Promise<string> {
    this.decrypted += 1;
    return super.decrypt(tenantId, purpose, ciphertext);
  }
}

describe('NannyHttpClient', () => {
  const vault = new CountingVault();
  const servers: Server[] = [];
  let acme: CertificateAuthority;
  let leaves: Record<'admin' | 'server', { cert: string; key: string }>;
  let tenant: NannyTarget['tenant'];

  beforeAll(async () => {
    acme = await pki.createAuthority('acme');
    tenant = await withPki('acme', acme);
    leaves = await memberLeaves(acme, 'acme');
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  afterAll(() => expect(servers).toEqual([]));

  async function withPki(tenantId: string, ca: CertificateAuthority) {
    const { certificate, key } = await pki.createControlPlaneLeaf(ca, tenantId);
    return tenantRecord(tenantId, {
      pki: {
        caBundle: ca.certificate,
        caKey: await vault.encrypt(tenantId, 'ca', ca.key),
        controlPlaneCertificate: certificate,
        controlPlaneKey: await vault.encrypt(tenantId, 'control-plane', key),
      },
    });
  }

  async function memberLeaves(ca: CertificateAuthority, tenantId: string) {
    const keys = await Promise.all(['a', 's', 'p', 'c'].map((user) => pki.createClientKey(user)));
    const [admin, server, peer, client] = keys as [(typeof keys)[0], ...typeof keys];
    const identity = { tenantId, memberName: 'mabcdefgh', ip: host, dnsName: `${tenantId}.internal` };
    const csrs = { admin: admin.csr, server: server!.csr, peer: peer!.csr, client: client!.csr };
    const signed = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
    return {
      admin: { cert: signed.admin, key: admin.key },
      server: { cert: signed.server, key: server!.key },
    };
  }

  /** A nanny that answers as told, and the client that knows its port. */
  async function nanny(answer: Answer, leaf = leaves.admin, ca = acme.certificate) {
    const seen: Seen[] = [];
    const connections: Socket[] = [];
    const server = createServer(
      { ...leaf, ca, requestCert: true, rejectUnauthorized: true },
      (request, out) => {
        void text(request).then((body) => {
          seen.push({
            method: request.method,
            url: request.url,
            fence: request.headers['x-fencing-token'] as string | undefined,
            body,
            clientUnit: (request.socket as TLSSocket).getPeerCertificate().subject.OU,
          });
          if (answer !== 'silence') out.writeHead(answer.status).end(JSON.stringify(answer.body));
        });
      },
    );
    servers.push(server);
    server.on('secureConnection', (socket) => connections.push(socket));
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const port = (server.address() as AddressInfo).port;
    // Only who is silent has to be given up soon: a busy machine is no reason to fail.
    const timeoutMs = answer === 'silence' ? 500 : 10_000;
    const limits = { readTimeoutMs: timeoutMs, changeTimeoutMs: timeoutMs };
    const client = new NannyHttpClient({ keyVault: vault, port, ...limits });
    return { client, seen, connections, target: { tenant, ip: host } };
  }
  const refused = (code: string, retryable: boolean): Answer => ({
    status: retryable ? 503 : 409,
    body: { error: { code, message: 'no', retryable } },
  });

  it('reads one after the other over one connection, and changes over another each', async () => {
    const { client, connections, seen, target } = await nanny({ status: 200, body: status });
    for (let n = 0; n < 3; n++) await client.status(target);
    expect(connections).toHaveLength(1);
    for (let n = 0; n < 2; n++) await client.promote(target, 7, 'a1').catch(() => undefined);
    expect(connections).toHaveLength(3);
    expect(seen).toHaveLength(5);
  });

  it('reads anew where the nanny has closed what was kept open', async () => {
    const { client, connections, target } = await nanny({ status: 200, body: status });
    await client.status(target);
    for (const connection of connections) connection.destroy();
    expect(await client.status(target)).toEqual(status);
    expect(connections).toHaveLength(2);
  });

  it('does not take the connection of one authority for another', async () => {
    const { client, target } = await nanny({ status: 200, body: status });
    await client.status(target);
    const stranger = await withPki('acme', await pki.createAuthority('acme'));
    await expect(client.status({ ...target, tenant: stranger })).rejects.toThrow(TransientError);
  });

  it('reads the status with the certificate of the control plane', async () => {
    const { client, seen, target } = await nanny({ status: 200, body: status });
    expect(await client.status(target)).toEqual(status);
    expect(seen).toMatchObject([{ method: 'GET', url: '/v1/status', clientUnit: 'control-plane' }]);
  });

  it('sends the fence with every change', async () => {
    const { client, seen, target } = await nanny({ status: 200, body: {} });
    await client.promote(target, 7, 'abc');
    await client.removeMember(target, 8, 'abc');
    await client.moveLeadership(target, 9, 'def');
    const added = await nanny({ status: 200, body: { etcdId: 'f00' } });
    const peerUrl = 'https://10.0.0.1:2380';
    expect(await added.client.addLearner(added.target, 10, peerUrl)).toEqual({ etcdId: 'f00' });
    expect([...seen, ...added.seen].map(({ url, fence, body }) => [url, fence, JSON.parse(body)])).toEqual([
      ['/v1/members/promote', '7', { etcdId: 'abc' }],
      ['/v1/members/remove', '8', { etcdId: 'abc' }],
      ['/v1/leadership', '9', { toEtcdId: 'def' }],
      ['/v1/members/add-learner', '10', { peerUrl }],
    ]);
  });

  it('stops at once when the nanny has seen a newer fence', async () => {
    const { client, target } = await nanny(refused('fenced', false));
    await expect(client.promote(target, 1, 'abc')).rejects.toThrow(LeaseLostError);
  });

  it('tells what may be tried again from what may not, and keeps the code', async () => {
    const later = await nanny(refused('unhealthy-cluster', true));
    await expect(later.client.promote(later.target, 1, 'abc')).rejects.toThrow(TransientError);
    await expect(later.client.promote(later.target, 1, 'abc')).rejects.toThrow('unhealthy-cluster');
    const never = await nanny(refused('member-not-found', false));
    const error = await never.client.promote(never.target, 1, 'abc').catch((one: unknown) => one);
    expect(error).toMatchObject({ code: 'member-not-found', retryable: false });
  });

  it.each([
    ['nobody listens', () => undefined],
    ['nobody answers', () => nanny('silence')],
    ['it fails without a reason', () => nanny({ status: 500, body: 'oops' })],
  ])('takes it for a passing fault when %s', async (_, start) => {
    const world = (await start()) ?? {
      client: new NannyHttpClient({ keyVault: vault, port: 4739 }),
      target: { tenant, ip: host },
    };
    await expect(world.client.status(world.target)).rejects.toThrow(TransientError);
  });

  it('does not talk to another leaf of the same CA', async () => {
    const { client, seen, target } = await nanny({ status: 200, body: status }, leaves.server);
    await expect(client.status(target)).rejects.toThrow('nanny-admin');
    expect(seen).toEqual([]);
  });

  it('does not talk to a nanny of another tenant', async () => {
    const other = await pki.createAuthority('other');
    const theirs = await memberLeaves(other, 'other');
    const { client, seen, target } = await nanny(
      { status: 200, body: status },
      theirs.admin,
      other.certificate,
    );
    await expect(client.status(target)).rejects.toThrow(TransientError);
    expect(seen).toEqual([]);
  });

  it('does not talk to a certificate of another address', async () => {
    const { client, target } = await nanny({ status: 200, body: status });
    const port = (servers[0]!.address() as AddressInfo).port;
    await new Promise((resolve) => servers[0]!.close(resolve));
    servers.splice(0);
    const elsewhere = createServer({ ...leaves.admin, ca: acme.certificate, requestCert: true });
    servers.push(elsewhere);
    await new Promise<void>((resolve) => elsewhere.listen(port, '127.73.0.3', resolve));
    await expect(client.status({ ...target, ip: '127.73.0.3' })).rejects.toThrow('cannot be reached');
  });

  it('does not believe a status in an unknown form, or of another tenant', async () => {
    const strange = await nanny({ status: 200, body: { ...status, more: true } });
    await expect(strange.client.status(strange.target)).rejects.toThrow('same version');
    const wrong = await nanny({ status: 200, body: { ...status, tenantId: 'other' } });
    await expect(wrong.client.status(wrong.target)).rejects.toThrow('speaks for tenant other');
  });

  it('opens the key once for many calls, and says so when there is none', async () => {
    const { client, target } = await nanny({ status: 200, body: status });
    vault.decrypted = 0;
    await Promise.all([client.status(target), client.status(target), client.status(target)]);
    expect(vault.decrypted).toBe(1);
    const bare = client.status({ ...target, tenant: tenantRecord('acme') });
    await expect(bare).rejects.toThrow(ControlPlaneError);
  });
});
