import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { TransientError } from '../../../lambdas/core/errors.ts';
import { containerCredentials, storageCredentials } from '../../../node-image/src/credentials.ts';
import { createLeafKeys } from '../../../node-image/src/csr.ts';
import { createJoinClient, type JoinClient, JoinRefusedError } from '../../../node-image/src/join-client.ts';
import { joinUntilAnswered } from '../../../node-image/src/join-loop.ts';
import { readTaskIdentity } from '../../../node-image/src/metadata.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { FakeControlPlane } from './support/fake-control-plane.ts';

const who = { tenantId: 'acme', memberName: 'maaaaaaa1' };
const leafKeys = createLeafKeys(who.memberName);
const request = { ...who, csrs: leafKeys.csrs, hasData: false };
const controlPlane = new FakeControlPlane({
  ip: '127.75.1.250',
  port: 4751,
  tenantId: 'acme',
  members: { maaaaaaa1: '127.75.1.1' },
  version: '3.6.16',
});
let client: JoinClient;

beforeAll(async () => {
  await controlPlane.start();
  const env = controlPlane.environment('maaaaaaa1', '/data', '/etcd');
  const { ip } = await readTaskIdentity(env.ECS_CONTAINER_METADATA_URI_V4!);
  const credentials = containerCredentials(
    { uri: env.AWS_CONTAINER_CREDENTIALS_FULL_URI!, token: env.AWS_CONTAINER_AUTHORIZATION_TOKEN },
    () => new Date(),
  );
  const now = () => new Date();
  client = createJoinClient({
    baseUrl: `${controlPlane.url}/prod`,
    region: 'eu-central-1',
    credentials,
    ip,
    now,
  });
});
afterAll(() => controlPlane.stop());
beforeEach(() => {
  controlPlane.heard.length = 0;
  controlPlane.failWith = undefined;
  controlPlane.answerJoin = undefined;
});

test('signs its calls for the API and makes them from the address of its task', async () => {
  const answer = await client.join(request);
  expect(answer).toMatchObject({ answer: 'boot', mode: 'new' });
  const { headers, from, route } = controlPlane.heard[0]!;
  expect(route).toBe('join');
  expect(from).toBe('127.75.1.1');
  expect(headers.authorization).toMatch(
    /^AWS4-HMAC-SHA256 Credential=AKIDOFTASKROLE\/\d{8}\/eu-central-1\/execute-api\/aws4_request, SignedHeaders=\S*host\S*, Signature=[0-9a-f]{64}$/,
  );
  expect(headers['x-amz-security-token']).toBe('task-session');
  expect(headers['x-amz-date']).toMatch(/^\d{8}T\d{6}Z$/);
});

test('brings requests that the authority signs, each for its own key', async () => {
  const answer = await client.join(request);
  if (answer.answer !== 'boot') expect.unreachable();
  for (const role of ['peer', 'server', 'admin', 'client'] as const) {
    const certificate = new X509Certificate(answer.certificates[role]);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(certificate.checkPrivateKey(await importKey(leafKeys.keys[role]))).toBe(true);
  }
  expect(new Set(Object.values(leafKeys.keys)).size).toBe(4);
});

test.each([
  [
    { detail: 'This task was launched for another member.' },
    'This task was launched for another member. Either',
  ],
  [{ Message: 'User is not authorized to perform: execute-api:Invoke' }, 'execute-api:Invoke. Either'],
  [{}, '(403). Either'],
])('shows a refusal as a sentence: %j', async (body, text) => {
  controlPlane.failWith = { status: 403, body };
  const refused = await client.join(request).catch((error) => error);
  expect(refused).toBeInstanceOf(JoinRefusedError);
  expect(refused.message).toContain(text);
});

test.each([429, 500, 503])('takes %i for something that passes', async (status) => {
  controlPlane.failWith = { status, body: { message: 'Too Many Requests' } };
  await expect(client.report({ ...who, status: {} as never })).rejects.toThrow(TransientError);
});

test('says so when it does not understand the answer', async () => {
  controlPlane.failWith = { status: 200, body: { answer: 'dance' } };
  await expect(client.join(request)).rejects.toThrow('is the node image older than the control plane');
});

test('asks on through waits, refusals and faults until there is an answer, and says each thing once', async () => {
  const said: string[] = [];
  const say = (message: string) => void said.push(message);
  const answers = ['wait', 'wait', 'refuse', 'refuse', 'fault', 'leave'];
  const sleeps: number[] = [];
  const fake: JoinClient = {
    ...client,
    join: async () => {
      const next = answers.shift();
      if (next === 'refuse') throw new JoinRefusedError('no');
      if (next === 'fault') throw new TransientError('down');
      if (next === 'wait') return { answer: 'wait', reason: 'one more', retryAfterMs: 1_000 };
      return { answer: 'leave', reason: 'not wanted' };
    },
  };
  const timing = { ...realTiming, random: () => 0, sleep: async (ms: number) => void sleeps.push(ms) };
  const log = { info: say, warn: say, error: say };
  const answer = await joinUntilAnswered(
    { who, client: fake, leafKeys, hasData: false, log, timing },
    new AbortController().signal,
  );
  expect(answer).toEqual({ answer: 'leave', reason: 'not wanted' });
  expect(said).toEqual(['The control plane says wait: one more', 'no', 'down']);
  expect(sleeps).toEqual([1_000, 1_000, 250, 500, 1_000]);
});

async function importKey(pem: string) {
  const { createPrivateKey } = await import('node:crypto');
  return createPrivateKey(pem);
}

test('credentials of the store are kept for three quarters of their life, and longer while there are no others', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  let asked = 0;
  let down = false;
  const credentials = storageCredentials(
    async () => {
      asked += 1;
      if (down) throw new TransientError('down');
      const expiration = new Date(now + 3_600_000).toISOString();
      return { accessKeyId: `key-${asked}`, secretAccessKey: 's', sessionToken: 't', expiration };
    },
    () => new Date(now),
  );
  const both = await Promise.all([credentials(), credentials()]);
  expect(both.map(({ accessKeyId }) => accessKeyId)).toEqual(['key-1', 'key-1']);
  now += 44 * 60_000;
  expect((await credentials()).accessKeyId).toBe('key-1');
  down = true;
  now += 60_000;
  expect((await credentials()).accessKeyId).toBe('key-1');
  expect(asked).toBe(2);
  now += 15 * 60_000;
  await expect(credentials()).rejects.toThrow('down');
  down = false;
  expect((await credentials()).accessKeyId).toBe('key-4');
});
