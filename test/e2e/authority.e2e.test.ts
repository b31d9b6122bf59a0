import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli, type TestCloud, testCloud } from './support/cloud.ts';

/** A deployment with the setting `jwt`, its own issuer on loopback, and people who hold its tokens. */
const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
let server: Server;
let issuer: string;
let cloud: TestCloud;

beforeAll(async () => {
  server = createServer((request, response) => {
    const jwk = { ...key.publicKey.export({ format: 'jwk' }), kid: 'k1' };
    const body = request.url === '/keys' ? { keys: [jwk] } : { issuer, jwks_uri: `${issuer}/keys` };
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cloud = await testCloud({ context: { jwt: JSON.stringify({ issuer, audience: ['etcd-nanny'] }) } });
});
afterAll(async () => {
  await cloud?.dispose();
  server?.close();
});

function token(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const seconds = Math.floor(Date.now() / 1000);
  const all = { iss: issuer, aud: 'etcd-nanny', sub: 'paula', exp: seconds + 3600, ...claims };
  const text = `${part({ alg: 'RS256', kid: 'k1' })}.${part(all)}`;
  return `${text}.${sign('sha256', Buffer.from(text), key.privateKey).toString('base64url')}`;
}
const nanny = (claims: Record<string, unknown> | undefined, ...args: string[]) =>
  runCli(args, cloud.stateDir, claims === undefined ? {} : { NANNY_TOKEN: token(claims) });
/** What a busy machine did not answer in time is asked again: the same creation is the same operation. */
async function done(claims: Record<string, unknown>, ...args: string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { code, stderr } = await nanny(claims, ...args);
    if (code === 0) return;
    if (tries < 5 && / in time; /.test(stderr)) continue;
    throw new Error(`nanny ${args.join(' ')} exited with ${code}: ${stderr}`);
  }
}
const admin = { scope: 'etcd-nanny/admin' };
const ofAcme = { tenants: ['acme', 'acme-2'] };

test('who holds a token for a tenant makes it, uses it and sees nothing else', async () => {
  await done(ofAcme, 'create', 'acme', '--members', '1', '--size', 'micro', '--wait', '--timeout', '20m');
  await done(admin, 'create', 'globex', '--members', '1', '--size', 'micro');

  const put = await nanny(ofAcme, 'etcdctl', 'acme', '--', 'put', 'hello', 'world');
  expect(put).toMatchObject({ code: 0, stdout: 'OK\n' });
  const ids = async (claims: Record<string, unknown>) =>
    JSON.parse((await nanny(claims, 'list', '--json')).stdout).items.map(
      ({ tenantId }: { tenantId: string }) => tenantId,
    );
  expect(await ids(ofAcme)).toEqual(['acme']);
  expect(await ids(admin)).toEqual(['acme', 'globex']);

  for (const args of [
    ['get', 'globex'],
    ['credentials', 'globex', '--user', 'root'],
    ['delete', 'globex', '--yes'],
    ['create', 'initech'],
  ]) {
    const { code, stderr } = await nanny(ofAcme, ...args);
    expect([args, code, stderr]).toEqual([
      args,
      1,
      expect.stringContaining('Your token gives authority over acme, acme-2, and not over'),
    ]);
  }
});

test('a token that is not good, and a signature, are refused with what to do', async () => {
  for (const claims of [
    { ...ofAcme, exp: 1 },
    { ...ofAcme, aud: 'other' },
    { ...ofAcme, iss: 'https://x.example' },
  ]) {
    const { code, stderr } = await nanny(claims, 'get', 'acme');
    expect([code, stderr]).toEqual([1, expect.stringContaining('refuses the token in NANNY_TOKEN')]);
  }
  const { code, stderr } = await nanny(undefined, 'get', 'acme');
  expect([code, stderr]).toEqual([1, expect.stringContaining('a token in NANNY_TOKEN')]);
});
