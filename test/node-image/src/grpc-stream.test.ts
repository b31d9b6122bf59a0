import * as http2 from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { createLeafKeys } from '../../../node-image/src/csr.ts';
import { type ClientTls, GrpcConnection } from '../../../node-image/src/etcd/grpc.ts';

const ip = '127.75.6.1';
const port = 4757;
const ok = { 'grpc-status': '0' };
let server: http2.Http2SecureServer;
let tls: ClientTls;
/** What the next call is answered with. */
let answer: (stream: http2.ServerHttp2Stream) => void;

beforeAll(async () => {
  const pki = createPki({ clock: { now: () => new Date() } });
  const ca = await pki.createAuthority('acme');
  const { keys, csrs } = createLeafKeys('maaaaaaa1');
  const identity = { tenantId: 'acme', memberName: 'maaaaaaa1', ip, dnsName: 'acme.internal' };
  const issued = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
  tls = { ca: ca.certificate, cert: issued.client, key: keys.client };
  server = http2.createSecureServer({ cert: issued.server, key: keys.server });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    answer(stream);
  });
  await new Promise<void>((resolve) => server.listen(port, ip, resolve));
});
afterAll(() => void server.close());

const framed = (message: Buffer, compressed = 0) => {
  const head = Buffer.from([compressed, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
/** Sends the bytes in pieces of a size, then the trailers. */
const sending =
  (bytes: Buffer, size: number, trailers: http2.OutgoingHttpHeaders) => (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
    stream.end();
  };
async function take(idleMs = 5_000, delayMs = 0): Promise<Buffer[]> {
  const connection = new GrpcConnection(`https://${ip}:${port}`, tls);
  const taken: Buffer[] = [];
  try {
    for await (const message of connection.stream('/a/B', Buffer.alloc(0), idleMs)) {
      taken.push(Buffer.from(message));
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  } finally {
    connection.close();
  }
  return taken;
}

test.each([1, 7, 16_384, 1_000_000])('messages arrive whole in pieces of %i bytes', async (size) => {
  const count = size === 1 ? 5 : 60;
  const messages = Array.from({ length: count }, (_, n) => Buffer.alloc(size < 100 ? n * 10 : n * 1_700, n));
  answer = sending(Buffer.concat(messages.map((message) => framed(message))), size, ok);
  const taken = await take();
  expect(taken.length).toBe(count);
  expect(taken.every((message, n) => message.equals(messages[n]!))).toBe(true);
});

test('whoever is slow gets all of it, and never more of it at once than fits', async () => {
  const message = Buffer.alloc(32_768, 1);
  answer = sending(Buffer.concat(Array.from({ length: 200 }, () => framed(message))), 32_768, ok);
  expect((await take(5_000, 2)).length).toBe(200);
});

test('time that whoever takes it needs does not count as silence', async () => {
  const message = Buffer.alloc(600_000, 1);
  answer = sending(Buffer.concat(Array.from({ length: 4 }, () => framed(message))), 32_768, ok);
  expect((await take(150, 250)).length).toBe(4);
});

test('a stream without messages, many times over', async () => {
  answer = sending(Buffer.alloc(0), 1, ok);
  for (let n = 0; n < 50; n += 1) expect(await take()).toEqual([]);
});

test('an error at the end is an error, whatever came before it', async () => {
  answer = sending(framed(Buffer.from('x')), 100, {
    'grpc-status': '14',
    'grpc-message': 'etcdserver: no%20leader',
  });
  await expect(take()).rejects.toMatchObject({ code: 'timeout', grpcCode: 14 });
});

test.each([
  [
    'cut off in the middle of a message',
    sending(framed(Buffer.from('long')).subarray(0, 7), 100, ok),
    'middle of a message',
  ],
  ['compressed', sending(framed(Buffer.from('x'), 1), 100, ok), 'compressed'],
  ['without a status', sending(framed(Buffer.from('x')), 100, {}), 'cut off'],
  [
    'reset',
    (stream: http2.ServerHttp2Stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
    'INTERNAL_ERROR',
  ],
])('a stream that is %s fails', async (_, next, text) => {
  answer = next;
  await expect(take()).rejects.toThrow(text);
});

test('a stream that falls silent is given up', async () => {
  answer = (stream) => stream.respond({ ':status': 200 });
  await expect(take(200)).rejects.toMatchObject({ code: 'timeout', retryable: true });
});
