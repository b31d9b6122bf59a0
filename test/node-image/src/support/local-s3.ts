import { mkdtempSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AwsError, type Caller, type RawRequest, type RawResponse } from '../../../../local/aws/service.ts';
import type { CredentialStore } from '../../../../local/iam/credentials.ts';
import { Bucket } from '../../../../local/services/s3/bucket.ts';
import { s3Service } from '../../../../local/services/s3/service.ts';
import { parseClaim, verifySignature } from '../../../../local/sigv4.ts';

export const bucketName = 'snapshots-of-this-test';
const region = 'eu-central-1';

/** The S3 of the local cloud by itself, with checked signatures, and ways to hurt its clients. */
export class LocalS3 {
  readonly url: string;
  readonly bucket: Bucket;
  /** Every call that got through, as `METHOD operation`. */
  readonly calls: string[] = [];
  /** Asked before each call: an answer instead of S3's own, or `drop`: it is done, but the answer gets lost. */
  intercept: (operation: string) => RawResponse | 'drop' | undefined = () => undefined;
  readonly #directory = mkdtempSync(join(tmpdir(), 'local-s3-'));
  readonly #service;
  readonly #server: http.Server;
  readonly #listen: { ip: string; port: number };

  constructor(ip: string, port: number) {
    this.#listen = { ip, port };
    this.url = `http://${ip}:${port}`;
    this.bucket = new Bucket({ name: bucketName, versioned: true }, this.#directory);
    this.#service = s3Service(new Map([[bucketName, this.bucket]]), { region, authorize: () => undefined });
    this.#server = http.createServer((request, response) => void this.#serve(request, response));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#listen.port, this.#listen.ip, resolve);
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async content(key: string): Promise<Buffer> {
    const object = this.bucket.objects.get(key);
    if (object === undefined) throw new Error(`no object ${key}`);
    const chunks: Buffer[] = [];
    for await (const chunk of this.bucket.read(object, 0, object.size - 1)) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  /** Puts an object as somebody else would. */
  async seed(key: string, content: Buffer): Promise<void> {
    const request = { headers: {}, stream: Readable.from([content]) } as unknown as RawRequest;
    const { file, size, md5 } = await this.bucket.receive(request);
    this.bucket.publish(request, { key, etag: md5, size, headers: {}, segments: [{ file, size }] });
  }

  async #serve(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> {
    const [path = '/', rawQuery = ''] = (incoming.url ?? '/').split('?');
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    );
    const method = incoming.method ?? 'GET';
    const request: RawRequest = {
      method,
      path,
      query: new URLSearchParams(rawQuery),
      headers,
      body: Buffer.alloc(0),
      stream: incoming,
      sourceIp: '127.0.0.1',
    };
    let answer: RawResponse;
    let drop = false;
    try {
      const credentials = {
        find: (id: string) =>
          id === 'AKIDEXAMPLE' ? { caller, secretAccessKey: 'secret', sessionToken: 'session' } : undefined,
      } as unknown as CredentialStore;
      const claim = parseClaim(headers);
      verifySignature({ method, path, rawQuery, headers, body: undefined }, claim, {
        credentials,
        region,
        now: Date.now(),
      });
      const { operation } = this.#service.describe(request, caller);
      this.calls.push(operation);
      const instead = this.intercept(operation);
      drop = instead === 'drop';
      answer = typeof instead === 'object' ? instead : await this.#service.handle(request, caller);
    } catch (error) {
      // A client that was killed over its request.
      if (!(error instanceof AwsError)) return void outgoing.destroy();
      answer = this.#service.renderError(error, request);
    }
    incoming.resume();
    if (drop) return void incoming.socket.destroy();
    outgoing.writeHead(answer.status, answer.headers);
    if (answer.body instanceof Readable) answer.body.pipe(outgoing);
    else outgoing.end(answer.body);
  }
}

const caller: Caller = {
  accessKeyId: 'AKIDEXAMPLE',
  accountId: '000000000000',
  principalArn: 'arn:aws:sts::000000000000:assumed-role/task/id',
};
