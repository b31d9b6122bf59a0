import * as http2 from 'node:http2';
import * as tls from 'node:tls';
import { fromGrpcStatus, notReached, timedOut } from './errors.ts';

/** What mutual TLS needs: PEM texts. */
export interface ClientTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * Unary gRPC calls to one etcd over one HTTP/2 connection, opened on demand.
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
    const name = path.slice(path.lastIndexOf('/') + 1);
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(request.length, 1);
    return await new Promise<Buffer>((resolve, reject) => {
      const session = this.#open();
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': `${Math.ceil(timeoutMs)}m`,
      });
      const chunks: Buffer[] = [];
      let status: { code: number; text: string } | undefined;
      // etcd ends a call at its deadline by itself; our own timer, a little later, is for an etcd that is frozen.
      const timer = setTimeout(() => {
        reject(timedOut(name));
        stream.close(http2.constants.NGHTTP2_CANCEL);
        this.#drop(session);
      }, timeoutMs + 100);
      const readStatus = (headers: http2.IncomingHttpHeaders) => {
        if (headers['grpc-status'] === undefined) return;
        status = {
          code: Number(headers['grpc-status']),
          text: percentDecoded(String(headers['grpc-message'] ?? '')),
        };
      };
      stream.on('response', (headers) => {
        if (headers[':status'] !== 200) status = { code: 14, text: `HTTP status ${headers[':status']}` };
        readStatus(headers);
      });
      stream.on('trailers', readStatus);
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
      stream.end(Buffer.concat([frame, request]));
    });
  }

  close(): void {
    if (this.#session) this.#drop(this.#session);
  }

  #open(): http2.ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const target = new URL(this.url);
    const session = http2.connect(target, {
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

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
