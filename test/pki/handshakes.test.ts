import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CertificateAuthority } from '../../lambdas/core/ports.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';

/** Real TLS handshakes between the leaves of two tenants. */
const host = '127.76.0.9';
const pki = createPki({ clock: { now: () => new Date() } });

interface Leaf {
  readonly cert: string;
  readonly key: string;
}
interface Tenant {
  readonly ca: CertificateAuthority;
  readonly leaves: Readonly<Record<'peer' | 'server' | 'admin' | 'client' | 'tenant' | 'expired', Leaf>>;
}
let a: Tenant;
let b: Tenant;

async function makeTenant(name: string): Promise<Tenant> {
  const ca = await pki.createAuthority(name);
  const [peer, server, admin, client, own] = await Promise.all(
    ['p', 's', 'a', 'c', 'o'].map((user) => pki.createClientKey(user)),
  );
  const identity = {
    tenantId: name,
    memberName: 'mabcdefgh',
    ip: host,
    dnsName: `${name}.etcd-nanny.internal`,
  };
  const csrs = { peer: peer!.csr, server: server!.csr, admin: admin!.csr, client: client!.csr };
  const signed = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
  const tenant = await pki.signClient(ca, 'alice', own!.csr, 3600);
  const longAgo = createPki({ clock: { now: () => new Date(Date.now() - 2 * 3600_000) } });
  const expired = await longAgo.signClient(ca, 'alice', own!.csr, 3600);
  return {
    ca,
    leaves: {
      peer: { cert: signed.peer, key: peer!.key },
      server: { cert: signed.server, key: server!.key },
      admin: { cert: signed.admin, key: admin!.key },
      client: { cert: signed.client, key: client!.key },
      tenant: { cert: tenant.certificate, key: own!.key },
      expired: { cert: expired.certificate, key: own!.key },
    },
  };
}

const servers: ReturnType<typeof createServer>[] = [];
beforeAll(async () => {
  [a, b] = await Promise.all([makeTenant('acme'), makeTenant('bravo')]);
});
afterAll(() => {
  for (const server of servers) server.close();
});

/** 'ok', or why the handshake failed (the server's reason first: TLS 1.3 clients hear of it late). */
async function handshake(
  server: Leaf,
  clientCa: string,
  client: Leaf | undefined,
  serverCa: string,
  servername?: string,
) {
  const listener = createServer({ ...server, ca: clientCa, requestCert: true, rejectUnauthorized: true });
  servers.push(listener);
  await new Promise<void>((resolve) => listener.listen(0, host, resolve));
  const { port } = listener.address() as { port: number };
  try {
    return await new Promise<string>((resolve) => {
      listener.on('tlsClientError', (error, refused) => {
        // Node destroys a socket whose certificate it refuses; the reason stays on the socket. Anything else is the
        // echo of the client's own refusal, which is heard on the client's side.
        if (refused.authorizationError) resolve(`server: ${refused.authorizationError}`);
        else setTimeout(() => resolve(`server: ${error.message}`), 200);
      });
      listener.on('secureConnection', (socket: TLSSocket) => socket.end('hello'));
      const socket = connect({ host, port, ca: serverCa, ...client, ...(servername ? { servername } : {}) });
      socket.on('error', (error) => resolve(`client: ${(error as { code?: string }).code}`));
      socket.on('data', () => resolve('ok'));
    });
  } finally {
    listener.close();
  }
}

test('a client of the tenant is accepted, by address and by name', async () => {
  const { server, tenant } = a.leaves;
  expect(await handshake(server, a.ca.certificate, tenant, a.ca.certificate)).toBe('ok');
  const named = await handshake(
    server,
    a.ca.certificate,
    tenant,
    a.ca.certificate,
    'acme.etcd-nanny.internal',
  );
  expect(named).toBe('ok');
});

test.each(['tenant', 'client', 'peer', 'server', 'admin'] as const)(
  'a %s certificate of tenant A is refused by every server of tenant B',
  async (role) => {
    for (const server of [b.leaves.server, b.leaves.peer, b.leaves.admin]) {
      const answer = await handshake(server, b.ca.certificate, a.leaves[role], b.ca.certificate);
      expect(answer).toMatch(/^server: /);
    }
  },
);

test('a server of tenant B is refused by a client of tenant A', async () => {
  const answer = await handshake(b.leaves.server, a.ca.certificate, a.leaves.tenant, a.ca.certificate);
  expect(answer).toMatch(/client: UNABLE_TO_VERIFY_LEAF_SIGNATURE|server: /);
});

test('no certificate and an expired certificate are refused', async () => {
  const { server, expired } = a.leaves;
  const none = await handshake(server, a.ca.certificate, undefined, a.ca.certificate);
  expect(none).toMatch(/CERTIFICATE_REQUIRED|did not return a certificate/);
  const late = await handshake(server, a.ca.certificate, expired, a.ca.certificate);
  expect(late).toBe('server: CERT_HAS_EXPIRED');
});

test('a tenant client certificate cannot serve', async () => {
  const answer = await handshake(a.leaves.tenant, a.ca.certificate, a.leaves.tenant, a.ca.certificate);
  expect(answer).not.toBe('ok');
});

test('a server is refused under a name that is not its own', async () => {
  const { server, tenant } = a.leaves;
  const answer = await handshake(
    server,
    a.ca.certificate,
    tenant,
    a.ca.certificate,
    'bravo.etcd-nanny.internal',
  );
  expect(answer).toBe('client: ERR_TLS_CERT_ALTNAME_INVALID');
});
