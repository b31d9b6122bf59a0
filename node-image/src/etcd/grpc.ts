import * as http2 from 'node:http2';
import * as tls from 'node:tls';
import { batchesOf } from './batches.ts';
import { EtcdError, fromGrpcStatus, notReached, timedOut } from './errors.ts';

/** What mutual TLS needs: PEM texts. */
export interface ClientTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Messages of a stream wait here at most: without it every 64 KiB would wait for our window update. */
const streamWindowBytes = 1024 * 1024;

/**
 * gRPC calls to one etcd over one HTTP/2 connection, opened on demand.
 *
 * Plain node:http2 rather than @grpc/grpc-js: a quarter of the memory, and no connection back-off of its own. grpc-js
 * waits up to two minutes before it dials a server again, where the nanny must see within a second that etcd is back.
 */
export class GrpcConnection {
  readonly url: string;
  readonly #tls: ClientTls;
  #session: http2.ClientHttp2Session | undefined;

  constructor(url: string, clientTls: ClientTls) {
    this.url = url;
    this.#tls = clientTls;
  }

  /** @throws EtcdError */
  async unary(path: string, request: Buffer, timeoutMs: number): Promise<Buffer> {
    const name = nameOf(path);
    return await new Promise<Buffer>((resolve, reject) => {
      const session = this.#open();
      const stream = session.request({ ...headersOf(path), 'grpc-timeout': `${Math.ceil(timeoutMs)}m` });
      const chunks: Buffer[] = [];
      let status: GrpcStatus | undefined;
      // etcd ends a call at its deadline by itself; our own timer, a little later, is for an etcd that is frozen.
      const timer = setTimeout(() => {
        reject(timedOut(name));
        stream.close(http2.constants.NGHTTP2_CANCEL);
        this.#drop(session);
      }, timeoutMs + 100);
      const keep = (headers: http2.IncomingHttpHeaders) => {
        status = statusIn(headers) ?? status;
      };
      stream.on('response', keep);
      stream.on('trailers', keep);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', (error) => {
        clearTimeout(timer);
        reject(notReached(name, this.url, error));
      });
      stream.on('close', () => {
        clearTimeout(timer);
        if (status === undefined) reject(notReached(name, this.url, new Error('the connection was closed')));
        else if (status.code !== 0) reject(fromGrpcStatus(name, status.code, status.text));
        else resolve(Buffer.concat(chunks).subarray(5));
      });
      stream.end(framed(request));
    });
  }

  /**
   * A call that etcd answers with many messages, read no faster than they are taken.
   * @param idleMs the longest wait for the next bytes
   * @param options `needsLeader`: etcd ends the stream when its member has no leader, instead of saying nothing for ever
   * @throws EtcdError, also when etcd ends the stream with an error after some messages
   */
  async *stream(
    path: string,
    request: Buffer,
    idleMs: number,
    options: { signal?: AbortSignal; needsLeader?: boolean } = {},
  ): AsyncGenerator<Buffer> {
    const name = nameOf(path);
    const session = this.#open();
    session.ref();
    const { signal, needsLeader } = options;
    const stream = session.request(
      { ...headersOf(path), ...(needsLeader && { hasleader: 'true' }) },
      { signal },
    );
    let status: GrpcStatus | undefined;
    const keep = (headers: http2.IncomingHttpHeaders) => {
      status = statusIn(headers) ?? status;
    };
    stream.on('response', keep);
    stream.on('trailers', keep);
    stream.end(framed(request));
    try {
      yield* messagesOf(batchesOf(stream, { ms: idleMs, error: () => timedOut(name) }));
    } catch (error) {
      throw error instanceof EtcdError ? error : notReached(name, this.url, error);
    } finally {
      stream.close(http2.constants.NGHTTP2_CANCEL);
      session.unref();
    }
    const ended: GrpcStatus | undefined = status;
    if (ended === undefined) throw notReached(name, this.url, new Error('the stream was cut off'));
    if (ended.code !== 0) throw fromGrpcStatus(name, ended.code, ended.text);
  }

  close(): void {
    if (this.#session) this.#drop(this.#session);
  }

  #open(): http2.ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const target = new URL(this.url);
    const session = http2.connect(target, {
      settings: { initialWindowSize: streamWindowBytes },
      // Dialled here, not by http2, which would send the IP address as server name (SNI forbids that).
      createConnection: () =>
        tls.connect({
          host: target.hostname,
          port: Number(target.port),
          ALPNProtocols: ['h2'],
          minVersion: 'TLSv1.2',
          ...this.#tls,
        }),
    });
    // Every stream of the session hears of the error too; without a listener here it would end the process.
    session.on('error', () => this.#drop(session));
    session.on('goaway', () => this.#drop(session));
    session.on('close', () => this.#drop(session));
    // Dropped while it was connecting (a time-out under load): on a destroyed session this would throw, and end the nanny.
    session.once('connect', () => session.destroyed || session.setLocalWindowSize(streamWindowBytes));
    session.unref();
    this.#session = session;
    return session;
  }

  #drop(session: http2.ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined;
    if (session.connecting) session.destroy();
    else session.close();
  }
}

interface GrpcStatus {
  readonly code: number;
  readonly text: string;
}

const headBytes = 5;

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const headersOf = (path: string) => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
});

function framed(request: Buffer): Buffer {
  const frame = Buffer.alloc(5 + request.length);
  frame.writeUInt32BE(request.length, 1);
  request.copy(frame, 5);
  return frame;
}

/** Of the headers (an answer without messages has nothing else) or the trailers. */
function statusIn(headers: http2.IncomingHttpHeaders): GrpcStatus | undefined {
  if (headers['grpc-status'] !== undefined) {
    const text = percentDecoded(String(headers['grpc-message'] ?? ''));
    return { code: Number(headers['grpc-status']), text };
  }
  const http = headers[':status'];
  return http === undefined || Number(http) === 200 ? undefined : { code: 14, text: `HTTP status ${http}` };
}

/**
 * Takes gRPC's framing off: one byte (compressed or not), four of length, the message. What belongs to a message is put
 * together once, when all of it is there: large ones come in thousands of pieces.
 */
async function* messagesOf(source: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  let needed = headBytes;
  for await (const batch of source) {
    for (const chunk of batch) bytes += chunk.length;
    pieces.push(...batch);
    if (bytes < needed) continue;
    let data = pieces.length > 1 ? Buffer.concat(pieces) : pieces[0]!;
    for (;;) {
      needed = headBytes;
      if (data.length < needed) break;
      if (data[0] !== 0) throw new Error('etcd sent a compressed message, which nobody asked for');
      needed += data.readUInt32BE(1);
      if (data.length < needed) break;
      yield data.subarray(headBytes, needed);
      data = data.subarray(needed);
    }
    pieces = data.length > 0 ? [data] : [];
    bytes = data.length;
  }
  if (bytes > 0) throw new Error('the stream ended in the middle of a message');
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
