import * as http2 from 'node:http2';
import * as net from 'node:net';
import type { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { createLeafKeys } from '../../node-image/src/csr.ts';
import { type ManyEndpoints, manyEndpoints } from '../e2e/support/load/many-endpoints.ts';
import { until } from '../e2e/support/until.ts';

const ip = '127.75.6.2';
const sessions = new Set<http2.ServerHttp2Session>();
const held: net.Socket[] = [];
let serving: http2.Http2SecureServer;
let second: http2.Http2SecureServer;
/** Takes connections and never says a word, as a machine behind a partition. */
let mute: net.Server;
let etcd: ManyEndpoints;
/** Of the two that serve. */
let both: ManyEndpoints;

beforeAll(async () => {
  const pki = createPki({ clock: { now: () => new Date() } });
  const ca = await pki.createAuthority('acme');
  const { keys, csrs } = createLeafKeys('maaaaaaa1');
  const identity = { tenantId: 'acme', memberName: 'maaaaaaa1', ip, dnsName: 'acme.internal' };
  const issued = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
  const serves = () =>
    http2
      .createSecureServer({ cert: issued.server, key: keys.server })
      .on('session', (session) => sessions.add(session));
  serving = serves();
  second = serves();
  mute = net.createServer((socket) => void held.push(socket.on('error', () => {})));
  const portOf = (server: net.Server): Promise<number> =>
    new Promise((resolve) => server.listen(0, ip, () => resolve((server.address() as net.AddressInfo).port)));
  const urlOf = async (server: net.Server) => `https://${ip}:${await portOf(server)}`;
  const credentials = { caBundle: ca.certificate, certificate: issued.client, privateKey: keys.client };
  const urls = [await urlOf(serving), await urlOf(mute)];
  etcd = manyEndpoints(credentials);
  etcd.use(urls);
  both = manyEndpoints(credentials);
  both.use([urls[0]!, await urlOf(second)]);
});
afterAll(() => {
  etcd.close();
  both.close();
  for (const socket of held) socket.destroy();
  for (const session of sessions) session.destroy();
  mute.close();
  serving.close();
  second.close();
});

test('no call waits for a connection that is still being made while another endpoint has one', async () => {
  const asked = new Set<Etcd3>();
  for (let call = 0; call < 10; call += 1) await etcd.call(3_000, async (client) => asked.add(client));
  expect(held.length).toBeGreaterThan(0);
  expect(asked.size).toBe(1);
  expect(etcd.silent()).toBe(0);
});

test('when all are silent each has its turn: the one that froze may have been the last to answer', async () => {
  const asked = new Set<Etcd3>();
  await until('both to have answered', async () => {
    await both.call(3_000, async (client) => asked.add(client));
    return asked.size === 2;
  });
  const tried: Etcd3[] = [];
  for (let call = 0; call < 6; call += 1) {
    const failing = both.call(3_000, (client) => {
      tried.push(client);
      return Promise.reject(new Error('DEADLINE_EXCEEDED'));
    });
    await expect(failing).rejects.toThrow();
  }
  expect(both.silent()).toBe(2);
  // Until both are silent the one that is not yet goes first.
  expect(new Set(tried.slice(2)).size).toBe(2);
});

test('a call that gets no answer says nothing of an endpoint that has answered others since', async () => {
  const answer = () => both.call(3_000, async () => 'an answer');
  await until('both to answer again', async () => {
    await answer();
    return both.silent() === 0;
  });
  const late = Promise.withResolvers<never>();
  const begunAt = Date.now();
  const first = both.call(3_000, () => late.promise);
  await until('the clock to have moved on', () => Date.now() > begunAt, { everyMs: 1 });
  for (let call = 0; call < 4; call += 1) await answer();
  late.reject(new Error('DEADLINE_EXCEEDED'));
  await expect(first).rejects.toThrow();
  expect(both.silent()).toBe(0);
});

test('an endpoint without an answer is silent until it answers, or until its connection is gone', async () => {
  const unanswered = () => etcd.call(3_000, () => Promise.reject(new Error('DEADLINE_EXCEEDED')));
  await expect(unanswered()).rejects.toThrow();
  expect(etcd.silent()).toBe(1);
  await etcd.call(3_000, async () => 'an answer');
  expect(etcd.silent()).toBe(0);
  await expect(unanswered()).rejects.toThrow();
  serving.close();
  for (const session of sessions) session.destroy();
  await until('the connection to be seen as gone', () => etcd.silent() === 0, { everyMs: 10 });
});
