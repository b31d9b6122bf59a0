import { beforeAll, describe, expect, test } from 'vitest';
import { request, tampered } from '../../fakes/certificate-requests.ts';
import { createWorld, signed, type World } from './world.ts';

/** What callers get wrong: each with its status and the message that helps. The world is never changed by any of it. */
let world: World;
beforeAll(async () => {
  world = createWorld();
  await world.send('PUT', '/v1/tenants/acme', {});
  await world.finishCreation('acme');
  await world.send('PUT', '/v1/tenants/young', {});
});

interface Case {
  readonly what: string;
  readonly method?: string;
  readonly path?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly env?: unknown;
  readonly status: number;
  readonly code?: string;
  /** Expected in `problems`, as field → message. */
  readonly problems?: Record<string, RegExp>;
  readonly detail?: RegExp;
}

const weakRequest = await request({
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 1024,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
});
const changedRequest = tampered(await request({ name: 'ECDSA', namedCurve: 'P-256' }));

const spec = (value: unknown) => ({ spec: value });
const name = /2 to 39 characters: a lower-case letter, then/;

const cases: Case[] = [
  // Names.
  { what: 'capitals in the name', path: '/v1/tenants/Acme', status: 400, problems: { tenantId: name } },
  { what: 'a name of one letter', path: '/v1/tenants/a', status: 400, problems: { tenantId: name } },
  {
    what: 'a name of 40 letters',
    path: `/v1/tenants/${'a'.repeat(40)}`,
    status: 400,
    problems: { tenantId: name },
  },
  {
    what: 'a name that starts with a digit',
    path: '/v1/tenants/1acme',
    status: 400,
    problems: { tenantId: name },
  },
  {
    what: 'a name with an escaped slash',
    path: '/v1/tenants/a%2Fb',
    status: 400,
    problems: { tenantId: name },
  },
  {
    what: 'a name in another script',
    path: '/v1/tenants/%C3%A4cme',
    status: 400,
    problems: { tenantId: name },
  },
  // Spec.
  {
    what: 'two members',
    body: spec({ members: 2 }),
    status: 400,
    problems: { 'spec.members': /must be 1, 3 or 5/ },
  },
  {
    what: 'members as text',
    body: spec({ members: '3' }),
    status: 400,
    problems: { 'spec.members': /1, 3 or 5/ },
  },
  {
    what: 'an unknown size',
    body: spec({ size: 'huge' }),
    status: 400,
    problems: { 'spec.size': /micro, small, medium, large or xlarge/ },
  },
  {
    what: 'a disk too small for anything',
    body: spec({ storageGiB: 4 }),
    status: 400,
    problems: { 'spec.storageGiB': /at least 5/ },
  },
  {
    what: 'a disk too big',
    body: spec({ storageGiB: 201 }),
    status: 400,
    problems: { 'spec.storageGiB': /at most 200/ },
  },
  {
    what: 'half a GiB',
    body: spec({ storageGiB: 10.5 }),
    status: 400,
    problems: { 'spec.storageGiB': /whole number/ },
  },
  {
    what: 'a quota beyond what etcd advises',
    body: spec({ quotaMiB: 9000 }),
    status: 400,
    problems: { 'spec.quotaMiB': /at most 8192/ },
  },
  {
    what: 'a quota that the disk cannot hold',
    body: spec({ quotaMiB: 8192 }),
    status: 400,
    problems: { 'spec.storageGiB': /18\.1 GiB; set storageGiB to 19 or more/ },
  },
  {
    what: 'an ephemeral disk smaller than Fargate has',
    body: spec({ volume: 'ephemeral', storageGiB: 20 }),
    status: 400,
    problems: { 'spec.storageGiB': /from 21 to 200 when volume is ephemeral/ },
  },
  {
    what: 'an unknown volume',
    body: spec({ volume: 'nfs' }),
    status: 400,
    problems: { 'spec.volume': /ebs or ephemeral/ },
  },
  {
    what: 'an unknown compaction mode',
    body: spec({ autoCompaction: { mode: 'hourly' } }),
    status: 400,
    problems: { 'spec.autoCompaction.mode': /.+/ },
  },
  {
    what: 'compaction without its retention',
    body: spec({ autoCompaction: { mode: 'periodic' } }),
    status: 400,
    problems: { 'spec.autoCompaction.retentionMinutes': /.+/ },
  },
  {
    what: 'deletion protection as text',
    body: spec({ deletionProtection: 'yes' }),
    status: 400,
    problems: { 'spec.deletionProtection': /a boolean/ },
  },
  // Versions.
  {
    what: 'a minor that is not offered',
    body: spec({ version: '3.4' }),
    status: 400,
    problems: {
      'spec.version':
        /no version of etcd 3\.4 is offered here; offered: 3\.6\.16 \(default\), 3\.6\.15, 3\.5\.35/,
    },
  },
  {
    what: 'a version that is not one',
    body: spec({ version: 'latest' }),
    status: 400,
    problems: { 'spec.version': /such as 3\.6\.16 or a minor such as 3\.6/ },
  },
  {
    what: 'a version nobody knows',
    body: spec({ version: '3.6.99' }),
    status: 400,
    problems: { 'spec.version': /3\.6\.99 is not a version this project knows; offered/ },
  },
  {
    what: 'a version as number',
    body: spec({ version: 3.6 }),
    status: 400,
    problems: { 'spec.version': /a string/ },
  },
  // Unknown fields, and everything at once.
  {
    what: 'a misspelt field',
    body: spec({ member: 3 }),
    status: 400,
    problems: { 'spec.member': /not a known field/ },
  },
  {
    what: 'a field beside the spec',
    body: { spec: {}, name: 'x' },
    status: 400,
    problems: { name: /not a known field/ },
  },
  {
    what: 'five mistakes in one request',
    path: '/v1/tenants/X',
    body: { spec: { members: 4, size: 'XL', version: '9.9', colour: 'red' } },
    headers: { 'idempotency-key': 'k'.repeat(129) },
    status: 400,
    problems: {
      tenantId: name,
      'spec.members': /1, 3 or 5/,
      'spec.size': /micro/,
      'spec.version': /no version/,
      'spec.colour': /not a known/,
      'Idempotency-Key header': /1 to 128 printable/,
    },
    detail: /^6 things are wrong/,
  },
  // Documents.
  { what: 'text that is not JSON', body: '{"spec":', status: 400, problems: { body: /is not JSON/ } },
  { what: 'a list instead of an object', body: '[]', status: 400, problems: { body: /an object/ } },
  { what: 'null', body: 'null', status: 400, problems: { body: /an object/ } },
  { what: 'a spec that is a number', body: spec(7), status: 400, problems: { spec: /an object/ } },
  {
    what: 'another content type',
    body: 'members=3',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    status: 415,
    code: 'unsupported-media-type',
    detail: /x-www-form-urlencoded.*Content-Type: application\/json/,
  },
  {
    what: 'a body of 70 KB',
    body: JSON.stringify({ spec: { version: 'x'.repeat(70_000) } }),
    status: 413,
    code: 'payload-too-large',
    detail: /at most 65536 bytes/,
  },
  {
    what: 'an unprintable Idempotency-Key',
    headers: { 'idempotency-key': 'a\tb' },
    status: 400,
    problems: { 'Idempotency-Key header': /printable/ },
  },
  {
    what: 'a PATCH without body',
    method: 'PATCH',
    path: '/v1/tenants/acme',
    body: undefined,
    status: 400,
    problems: { body: /is missing/ },
  },
  {
    what: 'a DELETE with body',
    method: 'DELETE',
    path: '/v1/tenants/acme',
    body: {},
    status: 400,
    problems: { body: /takes no body/ },
  },
  // Queries.
  {
    what: 'a cursor that is not ours',
    method: 'GET',
    path: '/v1/tenants?cursor=abc',
    status: 400,
    problems: { cursor: /not valid/ },
  },
  {
    what: 'a limit of 0',
    method: 'GET',
    path: '/v1/tenants?limit=0',
    status: 400,
    problems: { limit: /from 1 to 100/ },
  },
  {
    what: 'a limit of 101',
    method: 'GET',
    path: '/v1/tenants?limit=101',
    status: 400,
    problems: { limit: /from 1 to 100/ },
  },
  {
    what: 'an unknown query parameter',
    method: 'GET',
    path: '/v1/tenants?size=5',
    status: 400,
    problems: { size: /not a known field/ },
  },
  {
    what: 'a query parameter twice',
    method: 'GET',
    path: '/v1/tenants?limit=5&limit=6',
    status: 400,
    problems: { limit: /more than once/ },
  },
  {
    what: 'an unknown connection format',
    method: 'GET',
    path: '/v1/tenants/acme/connection?format=xml',
    status: 400,
    problems: { format: /env, json, etcdctl, kube-apiserver or patroni/ },
  },
  // Credentials.
  {
    what: 'a reserved user',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'control-plane' },
    status: 400,
    problems: { user: /reserved/ },
  },
  {
    what: 'a user with a comma',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'a,CN=root' },
    status: 400,
    problems: { user: /letters, digits/ },
  },
  {
    what: 'a certificate for a minute',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'alice', ttlSeconds: 60 },
    status: 400,
    problems: { ttlSeconds: /3600 \(1 hour\) to 31536000 \(1 year\)/ },
  },
  {
    what: 'a certificate for two years',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'alice', ttlSeconds: 63_072_000 },
    status: 400,
    problems: { ttlSeconds: /1 year/ },
  },
  {
    what: 'a CSR that is none',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'alice', csr: 'hello' },
    status: 400,
    problems: { csr: /PKCS#10/ },
  },
  {
    what: 'a CSR with an RSA key of 1024 bits',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'alice', csr: weakRequest },
    status: 400,
    problems: { csr: /1024 bits: use EC P-256, EC P-384 or RSA of 2048/ },
  },
  {
    what: 'a CSR that was changed after it was signed',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: { user: 'alice', csr: changedRequest },
    status: 400,
    problems: { csr: /signature does not match its key/ },
  },
  {
    what: 'credentials of a tenant that is not there',
    method: 'POST',
    path: '/v1/tenants/nobody/credentials',
    body: { user: 'alice' },
    status: 404,
    code: 'not-found',
    detail: /no tenant "nobody"/,
  },
  {
    what: 'the deletion of an unknown tenant',
    method: 'DELETE',
    path: '/v1/tenants/nobody',
    status: 404,
    code: 'not-found',
    detail: /no tenant "nobody"/,
  },
  {
    what: 'credentials without a user',
    method: 'POST',
    path: '/v1/tenants/acme/credentials',
    body: {},
    status: 400,
    problems: { user: /is missing/ },
  },
  {
    what: 'credentials of a tenant without a CA yet',
    method: 'POST',
    path: '/v1/tenants/young/credentials',
    body: { user: 'alice' },
    status: 409,
    code: 'still-creating',
    detail: /still being created/,
  },
  {
    what: 'the connection of a cluster that has not formed',
    method: 'GET',
    path: '/v1/tenants/young/connection',
    status: 409,
    code: 'still-creating',
    detail: /no cluster to connect to yet \(phase creating\)/,
  },
  // Places and signatures.
  {
    what: 'an unknown tenant',
    method: 'GET',
    path: '/v1/tenants/nobody',
    status: 404,
    code: 'not-found',
    detail: /no tenant "nobody"/,
  },
  {
    what: 'an unknown path',
    method: 'GET',
    path: '/v2/tenants',
    status: 404,
    code: 'not-found',
    detail: /openapi\.json/,
  },
  {
    what: 'a method the path does not have',
    method: 'POST',
    path: '/v1/tenants',
    body: {},
    status: 405,
    code: 'method-not-allowed',
    detail: /GET only/,
  },
  {
    what: 'a missing signature',
    env: { event: { requestContext: { requestId: 'req-1' } } },
    status: 401,
    code: 'unauthenticated',
    detail: /SigV4/,
  },
];

describe('bad input', () => {
  test('is tried in at least 25 ways', () => expect(cases.length).toBeGreaterThanOrEqual(25));

  test.each(cases)('$what is $status', async (one) => {
    const before = JSON.stringify(await world.store.list({ limit: 100 }));
    const method = one.method ?? 'PUT';
    const answer = await world.send(method, one.path ?? '/v1/tenants/fresh', one.body, {
      ...(one.headers ? { headers: one.headers } : {}),
      env: one.env ?? signed(),
    });
    expect({ status: answer.status, text: answer.text }).toMatchObject({ status: one.status });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({
      status: one.status,
      code: one.code ?? 'invalid-request',
      type: `urn:etcd-nanny:problem:${one.code ?? 'invalid-request'}`,
      requestId: 'req-1',
    });
    expect(answer.body.detail).toMatch(one.detail ?? /.{20,}/);
    const found = Object.fromEntries(
      (answer.body.problems ?? []).map((problem: { field: string; message: string }) => [
        problem.field,
        problem.message,
      ]),
    );
    expect(Object.keys(found).sort()).toEqual(Object.keys(one.problems ?? {}).sort());
    for (const [field, message] of Object.entries(one.problems ?? {})) expect(found[field]).toMatch(message);
    expect(answer.text).not.toMatch(/\.ts:\d+|node_modules/);
    expect(JSON.stringify(await world.store.list({ limit: 100 }))).toBe(before);
  });

  test('a refused version says why', async () => {
    const versions = await world.send('GET', '/v1/versions');
    const { version, reason } = versions.body.refused[0];
    const answer = await world.send('PUT', '/v1/tenants/fresh', spec({ version }));
    expect(answer.status).toBe(400);
    expect(answer.body.problems[0].message).toContain(`etcd ${version} is refused: ${reason}`);
  });

  test('a fault of ours says nothing of its inside, and the log has it', async () => {
    const broken = createWorld();
    broken.store.get = () => Promise.reject(new Error('secret detail'));
    const answer = await broken.send('GET', '/v1/tenants/acme');
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('secret');
    expect(answer.body.detail).toContain('req-1');
    expect(broken.logged).toEqual([{ level: 'error', message: 'request failed' }]);
  });
});
