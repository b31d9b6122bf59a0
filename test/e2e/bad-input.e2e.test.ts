import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DynamoTenantStore } from '../../lambdas/adapters/dynamo-tenant-store.ts';
import { KmsKeyVault } from '../../lambdas/adapters/kms-key-vault.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { CertificateAuthority } from '../../lambdas/core/ports.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { request, tampered } from '../fakes/certificate-requests.ts';
import { callApi, type Signer } from '../local/support/signed.ts';
import { type Credentials, issueCredentials } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { callJoin, callTls, type TaskSeen, type TlsIdentity, taskOf } from './support/task.ts';
import { until } from './support/until.ts';

/**
 * What needs the real endpoint, real tasks or a real etcd to be refused. What the API function refuses by itself has
 * its table in test/lambdas/api/bad-input.test.ts.
 */
let cloud: TestCloud;
/** Two members of one tenant. */
let a: TaskSeen;
let b: TaskSeen;
/** A member of another tenant, and one whose tenant is gone. */
let other: TaskSeen;
let gone: TaskSeen;
let own: Credentials;
let foreign: Credentials;
let authority: CertificateAuthority;
let csrs: Record<'peer' | 'server' | 'admin' | 'client', string>;
let before: string;

beforeAll(async () => {
  cloud = await testCloud();
  const [{ members }] = await Promise.all([
    cloud.create('acme', { members: 3 }),
    cloud.create('other', { members: 1 }),
    cloud.create('gone', { members: 1 }),
  ]);
  [a, b, other, gone] = await Promise.all([
    taskOf(cloud, 'acme', members[0]!.name),
    taskOf(cloud, 'acme', members[1]!.name),
    taskOf(cloud, 'other'),
    taskOf(cloud, 'gone'),
  ]);
  [own, foreign] = await Promise.all([issueCredentials(cloud, 'acme'), issueCredentials(cloud, 'other')]);
  const { operation } = await cloud.api.call<{ operation: Operation }>({
    method: 'DELETE',
    path: '/v1/tenants/gone',
  });
  await until('the tenant to be gone', async () => (await cloud.cli('get', operation.tenantId)).code === 1);
  authority = await authorityOf('acme');
  const csr = await request({ name: 'ECDSA', namedCurve: 'P-256' });
  csrs = { peer: csr, server: csr, admin: csr, client: csr };
  before = await membersSeen();
});
afterAll(() => cloud?.dispose());

interface Case {
  readonly what: string;
  readonly send: () => Promise<{ readonly status: number; readonly body?: unknown; readonly text?: string }>;
  readonly status: number;
  /** In the answer's body, as JSON; for TLS the reason. */
  readonly message: RegExp;
}

const admin = (): Signer => cloud.cloud.credentials;
const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
const api = (options: Parameters<typeof callApi>[1] = {}, path = '/v1/tenants/acme') =>
  callApi(`${cloud.cloud.apiUrl}${path}`, { credentials: admin(), ...options });
const ask = (who: TaskSeen, over: object = {}) => ({
  tenantId: 'acme',
  memberName: who.memberName,
  csrs,
  hasData: false,
  ...over,
});
const renewal = (who: TaskSeen, over: object = {}) => ({
  tenantId: 'acme',
  memberName: who.memberName,
  csrs,
  ...over,
});

/** An HTTP API tells nobody why it refused a signature. */
const forbidden = /^\{"message":"Forbidden"\}$/;

const signatures: Case[] = [
  { what: 'no signature', send: () => api({ credentials: undefined }), status: 403, message: forbidden },
  {
    what: 'a wrong secret',
    send: () => api({ credentials: { ...admin(), secretAccessKey: 'wrong' } }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'an access key that nobody has',
    send: () => api({ credentials: { ...admin(), accessKeyId: 'AKIANOBODYHASTHISKEY' } }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a signature of six minutes ago',
    send: () => api({ signingDate: ago(6) }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a signature of the future',
    send: () => api({ signingDate: ago(-6) }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a signature for another Region',
    send: () => api({ region: 'eu-west-1' }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'another body than the one that was signed',
    send: () =>
      api(
        {
          method: 'PUT',
          body: '{"spec":{"members":1}}',
          sentBody: '{"spec":{"members":5}}',
          headers: { 'content-type': 'application/json' },
        },
        '/v1/tenants/fresh',
      ),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a task role without its session token',
    send: () => api({ credentials: { ...a.credentials, sessionToken: undefined } as Signer }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a task role that reads tenants',
    send: () => api({ credentials: a.credentials }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a task role that deletes its tenant',
    send: () => api({ credentials: a.credentials, method: 'DELETE' }),
    status: 403,
    message: forbidden,
  },
  {
    what: 'a task role that asks for a client certificate',
    send: () =>
      api(
        {
          credentials: a.credentials,
          method: 'POST',
          body: '{"user":"root"}',
          headers: { 'content-type': 'application/json' },
        },
        '/v1/tenants/acme/credentials',
      ),
    status: 403,
    message: forbidden,
  },
];

const notThisTask = (): RegExp => /"code":"not-this-task"/;

const joins: Case[] = [
  {
    what: "a join with the user's credentials",
    send: () => callJoin(a, 'join', ask(a), { credentials: admin() }),
    status: 403,
    message: /user\/local-admin is not a task\. Only the task of m\w+ may call this/,
  },
  {
    what: 'a join without signature',
    send: () => callJoin(a, 'join', ask(a), { credentials: null }),
    status: 403,
    message: /Missing Authentication Token/,
  },
  {
    what: 'a join signed six minutes ago',
    send: () => callJoin(a, 'join', ask(a), { signedAt: ago(6) }),
    status: 403,
    message: /Signature expired/,
  },
  {
    what: 'a join whose body was changed on its way',
    send: () =>
      callJoin(a, 'join', ask(a), { sentBody: JSON.stringify(ask(a, { memberName: b.memberName })) }),
    status: 403,
    message: /'x-amz-content-sha256' header does not match what was computed/,
  },
  {
    what: "a member's join, replayed by the task of another member",
    send: () => callJoin(b, 'join', ask(a)),
    status: 403,
    message: /The caller is task \w+, but member m\w+ was launched as task \w+/,
  },
  {
    what: "a member's join, replayed by another task from the member's address",
    send: () => callJoin(b, 'join', ask(a), { from: a.ip }),
    status: 403,
    message: /The caller is task/,
  },
  {
    what: "a member's join, replayed by a task of another tenant",
    send: () => callJoin(other, 'join', ask(a)),
    status: 403,
    message: /The caller is task/,
  },
  {
    what: "the right credentials from another task's address",
    send: () => callJoin(a, 'join', ask(a), { from: b.ip }),
    status: 403,
    message: /The call comes from [\d.]+, but member m\w+ joined from [\d.]+/,
  },
  {
    what: 'the right credentials from outside of the VPC',
    send: () => callJoin(a, 'join', ask(a), { from: '127.0.0.1' }),
    status: 403,
    message: /Forbidden/,
  },
  {
    what: 'a member that nobody launched',
    send: () => callJoin(a, 'join', ask(a, { memberName: 'mforged00' })),
    status: 200,
    message: /"answer":"leave","reason":"mforged00 is not a member of acme"/,
  },
  {
    what: 'a member of another tenant',
    send: () => callJoin(a, 'join', ask(a, { tenantId: 'other' })),
    status: 200,
    message: /"answer":"leave","reason":"m\w+ is not a member of other"/,
  },
  {
    what: 'a join of a task whose tenant is gone',
    send: () => callJoin(gone, 'join', ask(gone, { tenantId: 'gone' })),
    status: 200,
    message: /"answer":"leave","reason":"tenant gone does not exist"/,
  },
  {
    what: 'a renewal by a member that has left',
    send: () => callJoin(gone, 'renew', renewal(gone, { tenantId: 'gone' })),
    status: 403,
    message: /No certificates for m\w+: tenant gone does not exist/,
  },
  {
    what: "a renewal of another member's leaves",
    send: () => callJoin(b, 'renew', renewal(a)),
    status: 403,
    message: notThisTask(),
  },
  {
    what: 'a CSR that was changed after it was signed',
    send: () => callJoin(a, 'renew', renewal(a, { csrs: { ...csrs, peer: tampered(csrs.peer) } })),
    status: 400,
    message: /"field":"csrs\.peer","message":"its signature does not match its key/,
  },
  {
    what: 'a CSR with a weak key',
    send: async () => callJoin(a, 'renew', renewal(a, { csrs: { ...csrs, server: await request(rsa1024) } })),
    status: 400,
    message: /"field":"csrs\.server","message":"its RSA key has 1024 bits/,
  },
  {
    what: 'a CSR that is none',
    send: () => callJoin(a, 'renew', renewal(a, { csrs: { ...csrs, admin: 'hello' } })),
    status: 400,
    message: /"field":"csrs\.admin"/,
  },
  {
    what: 'fields that do not exist and a name that is none',
    send: () => callJoin(a, 'join', ask(a, { memberName: 'X', admin: true })),
    status: 400,
    message: /"field":"memberName".*"field":"".*admin/,
  },
  {
    what: 'a join that is not JSON',
    send: () => callJoin(a, 'join', '{"tenantId":'),
    status: 400,
    message: /is not JSON/,
  },
  {
    what: 'a CSR beyond all bounds',
    send: () => callJoin(a, 'join', ask(a, { csrs: { ...csrs, peer: 'x'.repeat(10_000) } })),
    status: 400,
    message: /"field":"csrs\.peer"/,
  },
  {
    what: 'a path that the join API does not have',
    send: () => callJoin(a, 'leave', {}),
    status: 403,
    message: /not authorized to perform: execute-api:Invoke|Missing Authentication Token/,
  },
  {
    what: 'a method that the join API does not have',
    send: () => callJoin(a, 'join', '', { method: 'GET' }),
    status: 403,
    message: /Missing Authentication Token|not authorized/,
  },
];

const etcd = (tls: TlsIdentity) =>
  callTls(`https://${a.ip}:2379/v3/maintenance/status`, tls, { method: 'POST', body: '{}' });
const nanny = (tls: TlsIdentity, route = 'status', body?: string) =>
  callTls(`https://${a.ip}:2378/v1/${route}`, tls, {
    ...(body === undefined ? {} : { method: 'POST', body, headers: { 'x-fencing-token': '999999999' } }),
  });
const ofClient = (credentials: Credentials): TlsIdentity => ({
  ca: own.caBundle,
  cert: credentials.certificate,
  key: credentials.privateKey,
});

/** Node's TLS server says no more after the handshake. */
const hungUp = /socket hang up|ECONNRESET|alert/;

const certificates: Case[] = [
  {
    what: "etcd: another tenant's certificate",
    send: () => etcd(ofClient(foreign)),
    status: 0,
    message: /unknown ca|bad certificate/,
  },
  {
    what: 'etcd: no certificate',
    send: () => etcd({ ca: own.caBundle }),
    status: 0,
    message: /certificate required|bad certificate/,
  },
  {
    what: 'etcd: a certificate past its life',
    send: async () => etcd(await expired()),
    status: 0,
    message: /certificate expired|bad certificate/,
  },
  {
    what: 'etcd: a certificate of a CA that calls itself the same',
    send: async () => etcd(await forged('root')),
    status: 0,
    message: /unknown ca|bad certificate|decrypt error/,
  },
  {
    what: "admin API: another tenant's certificate",
    send: () => nanny(ofClient(foreign)),
    status: 0,
    message: hungUp,
  },
  { what: 'admin API: no certificate', send: () => nanny({ ca: own.caBundle }), status: 0, message: hungUp },
  {
    what: 'admin API: a certificate past its life',
    send: async () => nanny(await expired()),
    status: 0,
    message: hungUp,
  },
  {
    what: 'admin API: a control plane of a CA that calls itself the same',
    send: async () => nanny(await forged('control-plane')),
    status: 0,
    message: hungUp,
  },
  {
    what: "admin API: the tenant's own certificate looks",
    send: () => nanny(ofClient(own)),
    status: 403,
    message: /does not serve a certificate of the unit .*tenant-client.*: it is for the control plane only/,
  },
  {
    what: "admin API: the tenant's own certificate removes a member",
    send: () => nanny(ofClient(own), 'members/remove', '{"etcdId":"1"}'),
    status: 403,
    message: /"code":"forbidden"/,
  },
];

const text = ({ body, text: plain }: Awaited<ReturnType<Case['send']>>): string =>
  plain ?? JSON.stringify(body);

describe.each([
  ['the API', signatures],
  ['the join API', joins],
  ['the ports of a member', certificates],
])('refused by %s', (_where, cases) => {
  test.each(cases)('$what: $status', async ({ send, status, message }) => {
    const answer = await send();
    expect({ status: answer.status, text: text(answer) }).toEqual({
      status,
      text: expect.stringMatching(message),
    });
    expect(text(answer)).not.toMatch(/\.ts:\d+|node_modules/);
  });
});

test('what is right is still let in at all three', async () => {
  expect(await api()).toMatchObject({ status: 200, body: { tenantId: 'acme' } });
  expect(await callJoin(a, 'renew', renewal(a))).toMatchObject({
    status: 200,
    body: { peer: expect.stringContaining('BEGIN CERTIFICATE') },
  });
  expect(await etcd(ofClient(own))).toMatchObject({ status: 200 });
});

test('none of it has left a trace in the cluster or in the list of tenants', async () => {
  expect(await membersSeen()).toBe(before);
  const tenants = await cloud.api.all<{ tenantId: string }>('/v1/tenants');
  expect(tenants.map(({ tenantId }) => tenantId).sort()).toEqual(['acme', 'other']);
});

test('the CLI says what to do when its signature is refused', async () => {
  const answer = await cloud.cli('get', 'acme', '--region', 'eu-west-1');
  expect(answer.code).toBe(1);
  expect(answer.stderr).toMatch(/refuses these AWS credentials: Forbidden\. Check who you are/);
});

async function membersSeen(): Promise<string> {
  const { phase, clusterId, members } = await cloud.tenant('acme');
  return JSON.stringify({
    phase,
    clusterId,
    members: members.map(({ name, ip, etcdId, role, taskArn }) => ({ name, ip, etcdId, role, taskArn })),
  });
}

/** The authority as the control plane has it: nobody else can make a certificate of this tenant that has expired. */
async function authorityOf(tenantId: string): Promise<CertificateAuthority> {
  const { url, region, outputs } = cloud.cloud;
  const client = { endpoint: url, region, credentials: admin() };
  const output = (name: string): string =>
    String([...outputs.values()].map((values) => values.get(name)).find((value) => value !== undefined));
  const clock = { now: () => new Date(), sleep: async () => {} };
  const store = new DynamoTenantStore({
    tableName: output('TableName'),
    clock,
    client: new DynamoDBClient(client),
  });
  const vault = new KmsKeyVault({ keyArn: output('KeyArn'), client: new KMSClient(client) });
  const { pki } = (await store.get(tenantId))!;
  return { certificate: pki!.caBundle, key: await vault.decrypt(tenantId, 'ca', pki!.caKey) };
}

/** Of the right authority; it ended an hour ago. */
async function expired(): Promise<TlsIdentity> {
  const pki = createPki({ clock: { now: () => ago(120) } });
  const { csr, key } = await pki.createClientKey('root');
  const { certificate } = await pki.signClient(authority, 'root', csr, 3600);
  return { ca: own.caBundle, cert: certificate, key };
}

/** Of an authority with the name of the right one, and another key. */
async function forged(user: 'root' | 'control-plane'): Promise<TlsIdentity> {
  const pki = createPki({ clock: { now: () => new Date() } });
  const fake = await pki.createAuthority('acme');
  if (user === 'control-plane') {
    const { certificate: cert, key } = await pki.createControlPlaneLeaf(fake, 'acme');
    return { ca: own.caBundle, cert, key };
  }
  const { csr, key } = await pki.createClientKey(user);
  return { ca: own.caBundle, cert: (await pki.signClient(fake, user, csr, 3600)).certificate, key };
}

const rsa1024 = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 1024,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
};
