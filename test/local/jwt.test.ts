import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi } from './support/signed.ts';
import { httpApi, lambda, role, type SmallCloud, startSmallCloud } from './support/small-cloud.ts';

const echo = 'export const handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let server: Server;
let issuer: string;
let byToken: SmallCloud;
let byIam: SmallCloud;

beforeAll(async () => {
  server = createServer((request, response) => {
    const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' });
    const keys = [jwk(rsa.publicKey, 'k1'), jwk(curve.publicKey, 'e1')];
    const documents: Record<string, unknown> = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
      '/keys': { keys },
    };
    response.end(JSON.stringify(documents[request.url ?? ''] ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const resources = { ...lambda('Echo'), ...httpApi('Echo', ['ANY /v1/{proxy+}']) };
  resources.Authorizer = {
    Type: 'AWS::ApiGatewayV2::Authorizer',
    Properties: {
      ApiId: { Ref: 'Api' },
      AuthorizerType: 'JWT',
      IdentitySource: ['$request.header.Authorization'],
      JwtConfiguration: { Issuer: issuer, Audience: ['etcd-nanny', 'other'] },
      Name: 'jwt',
    },
  };
  const { Properties } = resources.Route0;
  resources.Route0 = {
    Type: 'AWS::ApiGatewayV2::Route',
    Properties: { ...Properties, AuthorizationType: 'JWT', AuthorizerId: { Ref: 'Authorizer' } },
  };
  byToken = await startSmallCloud(4741, { echo }, resources);
  const invoke = (...paths: string[]) => ({
    Effect: 'Allow',
    Action: 'execute-api:Invoke',
    Resource: paths.map((path) => ({
      'Fn::Join': ['', ['arn:aws:execute-api:us-east-1:000000000000:', { Ref: 'Api' }, `/$default/*${path}`]],
    })),
  });
  byIam = await startSmallCloud(
    4742,
    { echo },
    {
      ...lambda('Echo'),
      ...httpApi('Echo', ['ANY /v1/{proxy+}']),
      Acme: role('ecs-tasks.amazonaws.com', [invoke('/v1/tenants/acme', '/v1/tenants/acme/*')]),
      Loose: role('ecs-tasks.amazonaws.com', [invoke('/v1/tenants/acme*')]),
    },
  );
});
afterAll(async () => {
  await byToken?.stop();
  await byIam?.stop();
  server?.close();
});

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);
const good = () => ({
  iss: issuer,
  aud: 'etcd-nanny',
  sub: 'u-7',
  exp: now() + 300,
  tenants: ['acme', 'globex'],
});
function token(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  key = rsa.privateKey,
) {
  const full = { alg: 'RS256', kid: 'k1', typ: 'JWT', ...header };
  const text = `${part(full)}.${part({ ...good(), ...claims })}`;
  return `${text}.${sign(full.alg === 'RS512' ? 'sha512' : 'sha256', Buffer.from(text), key).toString('base64url')}`;
}
const ask = (authorization?: string) =>
  callApi(`${byToken.cloud.apiUrl}/v1/tenants/acme`, { headers: authorization ? { authorization } : {} });

describe('an HTTP API with a JWT authorizer', () => {
  it('hands the claims of a good token to the function, each as text', async () => {
    const { status, body } = await ask(`Bearer ${token()}`);
    expect(status).toBe(200);
    expect(body.requestContext.authorizer).toEqual({
      jwt: {
        claims: {
          iss: issuer,
          aud: 'etcd-nanny',
          sub: 'u-7',
          exp: expect.stringMatching(/^\d+$/),
          tenants: '[acme globex]',
        },
        scopes: null,
      },
    });
    expect(body.headers).not.toHaveProperty('authorization');
  });

  it('takes a token without Bearer, other RSA digests, one audience of several, and client_id where there is no aud', async () => {
    const fine = [
      token(),
      `Bearer ${token({}, { alg: 'RS512' })}`,
      `Bearer ${token({ aud: ['x', 'other'] })}`,
      `Bearer ${token({ aud: undefined, client_id: 'other' })}`,
    ];
    for (const authorization of fine) expect((await ask(authorization)).status).toBe(200);
  });

  const text = () => `${part({ alg: 'none', kid: 'k1' })}.${part(good())}`;
  const hmac = () => {
    const head = `${part({ alg: 'HS256', kid: 'k1' })}.${part(good())}`;
    // The old trick: the public key as secret.
    const secret = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
  };
  it.each<[string, () => string | undefined]>([
    ['none at all', () => undefined],
    ['no token', () => 'Bearer '],
    ['no JWT', () => 'Bearer abc'],
    ['another issuer', () => token({ iss: 'https://elsewhere.example.com' })],
    ['an issuer that only begins so', () => token({ iss: `${issuer}/` })],
    ['another audience', () => token({ aud: 'somebody-else' })],
    ['no audience', () => token({ aud: undefined })],
    ['a client_id beside another audience', () => token({ aud: 'x', client_id: 'other' })],
    ['one that has expired', () => token({ exp: now() - 1 })],
    ['one without an end', () => token({ exp: undefined })],
    ['one that is not valid yet', () => token({ nbf: now() + 60 })],
    ['one from the future', () => token({ iat: now() + 60 })],
    ['algorithm none', () => `${text()}.`],
    ['algorithm none with a signature', () => `${text()}.${token().split('.')[2]}`],
    ['HMAC with the public key', hmac],
    [
      'an elliptic curve, which HTTP APIs do not know',
      () => token({}, { alg: 'ES256', kid: 'e1' }, curve.privateKey),
    ],
    ['the signature of somebody else', () => token({}, {}, stranger.privateKey)],
    ['a key that the issuer does not name', () => token({}, { kid: 'k9' })],
    ['no kid', () => token({}, { kid: undefined })],
    [
      'changed claims',
      () =>
        token()
          .split('.')
          .with(1, part({ ...good(), sub: 'root' }))
          .join('.'),
    ],
  ])('refuses %s', async (_what, authorization) => {
    const { status, body } = await ask(authorization());
    expect([status, body]).toEqual([401, { message: 'Unauthorized' }]);
  });

  it('is not opened by a signature instead', async () => {
    const answer = await callApi(`${byToken.cloud.apiUrl}/v1/tenants/acme`, {
      credentials: byToken.cloud.credentials,
    });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
  });
});

describe('authority by the path that IAM allows', () => {
  const as = (name: string) => {
    const found = byIam.cloud.registry
      .resourcesOfType('AWS::IAM::Role')
      .find(({ logicalId }) => logicalId === name);
    return byIam.cloud.assumeRole(found?.attributes?.Arn ?? '', 'somebody');
  };
  const statusOf = async (name: string, method: string, path: string) =>
    (await callApi(`${byIam.cloud.apiUrl}${path}`, { method, credentials: as(name) })).status;

  it('reaches the tenant and everything of it, and nothing else', async () => {
    expect(await statusOf('Acme', 'PUT', '/v1/tenants/acme')).toBe(200);
    expect(await statusOf('Acme', 'POST', '/v1/tenants/acme/credentials')).toBe(200);
    for (const path of ['/v1/tenants/globex', '/v1/tenants', '/v1/fleet/patch', '/v1/tenants/acme-2'])
      expect([path, await statusOf('Acme', 'GET', path)]).toEqual([path, 403]);
  });

  it('reaches every tenant whose name begins so when the star follows the name', async () => {
    expect(await statusOf('Loose', 'GET', '/v1/tenants/acme-2')).toBe(200);
    expect(await statusOf('Loose', 'GET', '/v1/tenants/globex')).toBe(403);
  });
});
