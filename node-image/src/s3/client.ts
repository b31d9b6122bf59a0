import { createHash } from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';
import type { Credentials } from '../credentials.ts';
import { escaped, sha256Hex, signed } from '../sigv4.ts';
import { backOffMs, type Timing } from '../timing.ts';
import { bucketAddress } from './endpoint.ts';
import { refused, S3Error, textOf, unreachable } from './errors.ts';

export interface S3Options {
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly credentials: () => Promise<Credentials>;
  readonly timing: Timing;
}

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

interface Call {
  readonly what: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

const tries = 5;
const backOff = { firstMs: 200, maxMs: 5_000 };
/** Nothing sent or received for this long. */
const idleMs = 60_000;
const emptyHash = sha256Hex('');
/** Published only if there is nothing under the key. */
const ifAbsent = { 'if-none-match': '*' };

/**
 * The few calls of S3 that backups need. Not the SDK: its S3 client alone is larger than the whole nanny and takes
 * more memory than the budget leaves.
 */
export class S3Client {
  readonly #options: S3Options;
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true }),
    'https:': new https.Agent({ keepAlive: true }),
  };

  constructor(options: S3Options) {
    this.#options = options;
  }

  /** @throws S3Error `PreconditionFailed` when there is an object under this key */
  async put(name: ObjectName, body: Buffer, metadata: Record<string, string>): Promise<void> {
    const headers = { ...ifAbsent, ...asHeaders(metadata) };
    await this.#text(name, { what: 'PutObject', method: 'PUT', headers, body });
  }

  async createUpload(name: ObjectName, metadata: Record<string, string>): Promise<string> {
    const { body } = await this.#text(name, {
      what: 'CreateMultipartUpload',
      method: 'POST',
      query: { uploads: '' },
      headers: asHeaders(metadata),
    });
    const uploadId = textOf(body, 'UploadId');
    if (uploadId === undefined)
      throw new S3Error('no-upload-id', 'S3 started an upload without naming it', { retryable: true });
    return uploadId;
  }

  /** Answers with the part's ETag. */
  async uploadPart(name: ObjectName, uploadId: string, partNumber: number, body: Buffer): Promise<string> {
    const query = { partNumber: String(partNumber), uploadId };
    const { headers } = await this.#text(name, { what: 'UploadPart', method: 'PUT', query, body });
    if (typeof headers.etag === 'string') return headers.etag;
    throw new S3Error('no-etag', `S3 took part ${partNumber} without an ETag`, { retryable: true });
  }

  /** @throws S3Error `PreconditionFailed` when there is an object under this key */
  async completeUpload(name: ObjectName, uploadId: string, etags: readonly string[]): Promise<void> {
    const parts = etags.map(
      (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
    );
    const xmlns = 'http://s3.amazonaws.com/doc/2006-03-01/';
    await this.#text(name, {
      what: 'CompleteMultipartUpload',
      method: 'POST',
      query: { uploadId },
      headers: ifAbsent,
      body: Buffer.from(
        `<CompleteMultipartUpload xmlns="${xmlns}">${parts.join('')}</CompleteMultipartUpload>`,
      ),
    });
  }

  async abortUpload(name: ObjectName, uploadId: string): Promise<void> {
    await this.#text(name, { what: 'AbortMultipartUpload', method: 'DELETE', query: { uploadId } });
  }

  /** Ids of the uploads to this key that have begun and not ended. */
  async openUploads(name: ObjectName): Promise<string[]> {
    const query = { uploads: '', prefix: name.key };
    const call = { what: 'ListMultipartUploads', method: 'GET', query } as const;
    const { body } = await this.#text({ bucket: name.bucket, key: '' }, call);
    return [...body.matchAll(/<Upload>(.*?)<\/Upload>/gs)]
      .filter(([, entry]) => plain(textOf(entry!, 'Key') ?? '') === name.key)
      .map(([, entry]) => textOf(entry!, 'UploadId')!);
  }

  /** undefined when there is no such object. */
  async head(name: ObjectName): Promise<{ size: number; metadata: Record<string, string> } | undefined> {
    try {
      const { headers } = await this.#text(name, { what: 'HeadObject', method: 'HEAD' });
      const metadata = Object.entries(headers).flatMap(([key, value]) =>
        key.startsWith('x-amz-meta-') ? [[key.slice('x-amz-meta-'.length), String(value)]] : [],
      );
      return { size: Number(headers['content-length']), metadata: Object.fromEntries(metadata) };
    } catch (error) {
      // Who may not list the bucket is told 403 of a key that is not there; nannies may not (they would see other tenants).
      if (error instanceof S3Error && (error.status === 404 || error.status === 403)) return undefined;
      throw error;
    }
  }

  /** Not tried again by itself: who reads it knows how much of it has arrived. The body must be read or destroyed. */
  async get(name: ObjectName): Promise<{ size: number; body: http.IncomingMessage }> {
    const response = await this.#send(name, { what: 'GetObject', method: 'GET' });
    if (response.statusCode !== 200)
      throw refused('GetObject', response.statusCode ?? 0, await textIn(response));
    return { size: Number(response.headers['content-length']), body: response };
  }

  /**
   * Names below a prefix, in order, page by page.
   * @param startAfter names up to this one are left out
   */
  async *list(
    bucket: string,
    prefix: string,
    startAfter: string,
  ): AsyncGenerator<readonly { key: string; bytes: number }[]> {
    let token: string | undefined;
    do {
      const query = {
        'list-type': '2',
        prefix,
        ...(token === undefined ? { 'start-after': startAfter } : { 'continuation-token': token }),
      };
      const call = { what: 'ListObjectsV2', method: 'GET', query } as const;
      const { body } = await this.#text({ bucket, key: '' }, call);
      yield [...body.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, entry]) => ({
        key: plain(textOf(entry!, 'Key') ?? ''),
        bytes: Number(textOf(entry!, 'Size')),
      }));
      token =
        textOf(body, 'IsTruncated') === 'true' ? plain(textOf(body, 'NextContinuationToken')!) : undefined;
    } while (token !== undefined);
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #text(name: ObjectName, call: Call): Promise<{ headers: http.IncomingHttpHeaders; body: string }> {
    const { timing } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const response = await this.#send(name, call);
        const body = await textIn(response).catch((cause) => {
          throw unreachable(call.what, cause);
        });
        const status = response.statusCode ?? 0;
        if (status >= 300) throw refused(call.what, status, body);
        // CompleteMultipartUpload sends 200 before it knows how it ends.
        if (body.includes('<Error>')) throw refused(call.what, 500, body);
        return { headers: response.headers, body };
      } catch (error) {
        if (!(error instanceof S3Error) || !error.retryable || attempt + 1 >= tries) throw error;
        await timing.sleep(backOffMs(attempt, timing, backOff));
      }
    }
  }

  async #send(name: ObjectName, call: Call): Promise<http.IncomingMessage> {
    const { region, endpoint } = this.#options;
    const { origin, pathPrefix } = bucketAddress(name.bucket, region, endpoint);
    const path = `${pathPrefix}/${name.key.split('/').map(escaped).join('/')}`;
    const query = Object.entries(call.query ?? {}).map(([key, value]) => `${escaped(key)}=${escaped(value)}`);
    const url = new URL(`${origin}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`);
    const { credentials, timing } = this.#options;
    const headers = signed(
      {
        method: call.method,
        path,
        query: call.query,
        headers: {
          host: url.host,
          ...(call.body && { 'content-length': String(call.body.length) }),
          // A bucket with Object Lock takes nothing without it.
          ...(call.body &&
            call.method === 'PUT' && { 'content-md5': createHash('md5').update(call.body).digest('base64') }),
          ...call.headers,
        },
        bodySha256: call.body ? sha256Hex(call.body) : emptyHash,
      },
      { service: 's3', region, credentials: await credentials(), now: timing.now() },
    );
    const protocol = url.protocol as 'http:' | 'https:';
    return await new Promise((resolve, reject) => {
      const request = (protocol === 'http:' ? http : https).request(url, {
        method: call.method,
        headers,
        agent: this.#agents[protocol],
        timeout: idleMs,
      });
      request.on('timeout', () => request.destroy(new Error(`nothing happened for ${idleMs / 1000} s`)));
      request.on('error', (error) => reject(unreachable(call.what, error)));
      request.on('response', resolve);
      request.end(call.body);
    });
  }
}

const asHeaders = (metadata: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`x-amz-meta-${key}`, value]));

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const plain = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal?: string, hex?: string, name = '') => {
    if (decimal === undefined && hex === undefined) return entities[name] ?? all;
    return String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex!, 16));
  });

async function textIn(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
