import { handle } from 'hono/aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import { endpoints } from '../../../lambdas/api/routes/index.ts';
import { createWorld, signed, type World } from './world.ts';

const authority = { kind: 'jwt', tenantsClaim: 'tenants', adminScope: 'etcd-nanny/admin' } as const;
const token = (claims: Record<string, unknown>) => ({
  event: {
    requestContext: {
      requestId: 'req-1',
      authorizer: {
        jwt: { claims: { iss: 'https://login.example.com', sub: 'u-7', ...claims }, scopes: null },
      },
    },
  },
});
const admin = token({ scope: 'openid etcd-nanny/admin' });
const ofAcme = token({ tenants: 'acme' });

let world: World;
beforeEach(async () => {
  world = createWorld({ authority, maxTenants: 20 });
  for (const id of ['acme', 'globex', 'team-one', 'team-two'])
    expect((await world.send('PUT', `/v1/tenants/${id}`, {}, { env: admin })).status).toBe(202);
});
const get = (path: string, env: unknown) => world.send('GET', path, undefined, { env });

describe('a token', () => {
  test.each([
    ['one id', 'acme'],
    ['a list as API Gateway writes it', '[globex acme]'],
    ['a list in JSON', '["globex","acme"]'],
    ['a list with commas', 'globex,acme'],
    ['a true list', ['globex', 'acme']],
    ['the beginning of names', 'ac*'],
  ])('gives authority over the tenants in its claim: %s', async (_what, tenants) => {
    expect((await get('/v1/tenants/acme', token({ tenants }))).status).toBe(200);
    expect((await get('/v1/tenants/team-one', token({ tenants }))).status).toBe(403);
  });

  test.each([
    ['no claim', {}],
    ['an empty claim', { tenants: '' }],
    ['an empty list', { tenants: '[]' }],
    ['a longer name', { tenants: 'acme-2' }],
    ['a shorter name', { tenants: 'acm' }],
    ['another case', { tenants: 'ACME' }],
    ['a number', { tenants: 7 }],
    ['the admin scope in the wrong claim', { tenants: 'etcd-nanny/admin' }],
    ['a scope that only begins so', { scope: 'etcd-nanny/administrator' }],
  ])('without authority over a tenant is refused, before anything is read: %s', async (_what, claims) => {
    const answers = await Promise.all([
      get('/v1/tenants/acme', token(claims)),
      get('/v1/tenants/nobody', token(claims)),
      world.send('PUT', '/v1/tenants/acme', { spec: { members: 'many' } }, { env: token(claims) }),
      world.send('POST', '/v1/tenants/acme/credentials', { user: 'root' }, { env: token(claims) }),
      world.send('DELETE', '/v1/tenants/acme', undefined, { env: token(claims) }),
    ]);
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([403, 'not-allowed']);
      expect(body.detail).toMatch(
        /not over ".+"\. Get one whose claim "tenants" names it, or with the scope/,
      );
    }
    expect((await world.store.get('acme'))?.status.phase).toBe('creating');
  });

  test('with the admin scope may do everything, in either claim that issuers write scopes to', async () => {
    for (const claims of [{ scope: 'etcd-nanny/admin' }, { scp: '[openid etcd-nanny/admin]' }])
      expect((await get('/v1/tenants/globex', token(claims))).status).toBe(200);
    expect((await world.send('POST', '/v1/fleet/patch', { version: '3.6.16' }, { env: admin })).status).toBe(
      202,
    );
  });

  test('without it cannot touch the fleet, nor any route that names no tenant', async () => {
    const tenantless = endpoints.filter(({ path }) => !path.includes('{tenantId}'));
    const open = ['GET /v1/versions', 'GET /v1/tenants'];
    for (const { method, path } of tenantless) {
      const name = `${method.toUpperCase()} ${path}`;
      const { status } = await world.send(method.toUpperCase(), path, undefined, { env: ofAcme });
      expect([name, status]).toEqual([name, open.includes(name) ? 200 : 403]);
    }
    expect(tenantless.length).toBeGreaterThan(open.length);
  });

  test('sees its own tenants in the list, page by page, and no other', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await get(`/v1/tenants?limit=1${cursor}`, token({ tenants: '[team-* acme]' }));
      seen.push(...body.items.map((item: { tenantId: string }) => item.tenantId));
      cursor = body.cursor ? `&cursor=${encodeURIComponent(body.cursor)}` : '';
    } while (cursor !== '');
    expect(seen).toEqual(['acme', 'team-one', 'team-two']);
  });

  test('cannot clone into the name of a tenant that it has no authority over', async () => {
    const clone = (into: string) =>
      world.send('POST', '/v1/tenants/acme/restore', { to: 'newest', into }, { env: ofAcme });
    expect((await clone('initech')).body).toMatchObject({ status: 403, code: 'not-allowed' });
  });

  test('is named in what it did: by issuer and subject', async () => {
    await world.send('PUT', '/v1/tenants/fresh', {}, { env: token({ tenants: 'fresh' }) });
    expect((await world.store.get('fresh'))?.owner).toBe('https://login.example.com#u-7');
  });

  test('without a subject is nobody', async () => {
    expect((await get('/v1/tenants/acme', token({ sub: undefined, tenants: 'acme' }))).status).toBe(401);
  });
});

test('the word of another authoriser than the deployment’s own counts for nothing', async () => {
  expect((await get('/v1/tenants/acme', signed())).status).toBe(401);
  const iam = createWorld();
  expect((await iam.send('GET', '/v1/tenants', undefined, { env: admin })).status).toBe(401);
});

describe('a path that IAM and this function could read differently', () => {
  /** As API Gateway calls the function: the URL is made of the raw path. */
  const call = async (rawPath: string) => {
    const iam = createWorld();
    await iam.send('PUT', '/v1/tenants/globex', {});
    const event = {
      version: '2.0',
      routeKey: 'ANY /v1/{proxy+}',
      rawPath,
      rawQueryString: '',
      headers: { host: 'api.example.com' },
      requestContext: {
        ...signed().event.requestContext,
        http: { method: 'GET', path: rawPath },
        domainName: 'api.example.com',
      },
      isBase64Encoded: false,
    };
    const answer = (await handle(iam.app)(event as never, {} as never)) as {
      statusCode: number;
      body: string;
    };
    return { status: answer.statusCode, body: JSON.parse(answer.body) };
  };

  test('is what it says when it is plain', async () => {
    expect((await call('/v1/tenants/globex')).body).toMatchObject({ tenantId: 'globex' });
  });

  // A policy that allows /v1/tenants/acme/* allows all of these, as they are written.
  test.each([
    '/v1/tenants/acme/../globex',
    '/v1/tenants/acme/%2e%2e/globex',
    '/v1/tenants/acme/%2E./globex',
    '/v1/tenants/acme/..%2fglobex',
    '/v1/tenants/acme/%252e%252e/globex',
    '/v1/tenants/acme/..\\globex',
    '/v1/tenants/acme/.\t./globex',
    '/v1/tenants/acme//globex',
    '/v1/tenants/./globex',
  ])('is refused: %s', async (path) => {
    const { status, body } = await call(path);
    expect([status, body.code]).toEqual([400, 'invalid-request']);
    expect(body.detail).toMatch(/not in its plain form/);
  });
});
