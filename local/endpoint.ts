import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { callJson, renderJsonError } from './aws/json-protocol.ts';
import {
  AwsError,
  type Caller,
  type JsonService,
  type RawRequest,
  type RawResponse,
  type RawService,
  type Service,
} from './aws/service.ts';
import { type Faults, throttlingError } from './faults.ts';
import type { Credential, CredentialStore } from './iam/credentials.ts';
import type { Iam } from './iam/iam.ts';
import { parseClaim, verifySignature } from './sigv4.ts';

export interface EndpointOptions {
  readonly credentials: CredentialStore;
  readonly iam: Iam;
  readonly faults: Faults;
  readonly region: string;
  readonly now: () => number;
  /** Condition keys of the place a call comes from (`aws:SourceIp`, `aws:SourceVpc`, ...). */
  readonly networkContext: (sourceIp: string, service: string) => Readonly<Record<string, string>>;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

type Mount = (request: RawRequest) => Promise<RawResponse>;

/** Bodies beyond this are refused, unless the service streams them. */
const maxBodyBytes = 32 * 1024 * 1024;

/** The worker that made this call has been ended: there is nobody to answer. */
class CallerGone extends Error {}

/** The one HTTP endpoint: signature, then IAM, then faults, then the service. */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #services = new Map<string, Service>();
  readonly #targets = new Map<string, JsonService>();
  readonly #mounts: { prefix: string; handler: Mount; forTasks: boolean }[] = [];
  readonly #server: Server;
  readonly #others: Server[] = [];
  #open = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#server = this.#newServer();
  }

  add(service: Service): void {
    if (this.#services.has(service.name))
      throw new Error(`Two services of the local cloud call themselves ${service.name}.`);
    this.#services.set(service.name, service);
    if (service.kind === 'json') this.#targets.set(service.targetPrefix, service);
  }

  mount(prefix: string, handler: Mount): void {
    if (!prefix.startsWith('/_')) throw new Error(`Unsigned paths live below /_, ${prefix} does not.`);
    this.#mounts.push({ prefix, handler, forTasks: prefix === '/_ecs/' });
  }

  /** Signed calls are answered from now on; before, the resources do not stand yet. */
  open(): void {
    this.#open = true;
  }

  /** Loopback only; gives the port, which matters with 0. @throws Error with code EADDRINUSE */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /**
   * The same port on one more address of this machine, for those who cannot reach loopback: containers. They get what
   * tasks get on AWS, and no say over the local cloud.
   */
  alsoListen(address: string): Promise<void> {
    const server = this.#newServer();
    this.#others.push(server);
    const { port } = this.#server.address() as AddressInfo;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.#server, ...this.#others].map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  }

  #newServer(): Server {
    const server = createServer((request, response) => void this.#serve(request, response));
    // Long polls and slow functions answer late; the callers' own time-outs are the ones that count.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 65_000;
    return server;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      send(outgoing, await this.#answer(incoming, outgoing));
    } catch (error) {
      if (error instanceof CallerGone || outgoing.destroyed) {
        incoming.destroy();
        return;
      }
      this.#options.log('internal failure of the local cloud', { url: incoming.url, error: describe(error) });
      send(outgoing, jsonMessage(500, `The local cloud failed: ${describe(error)}`));
    }
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<RawResponse> {
    const url = incoming.url ?? '/';
    const mark = url.indexOf('?');
    const path = mark < 0 ? url : url.slice(0, mark);
    const rawQuery = mark < 0 ? '' : url.slice(mark + 1);
    const headers = flatHeaders(incoming);
    const base = {
      method: incoming.method ?? 'GET',
      path,
      query: new URLSearchParams(rawQuery),
      headers,
      sourceIp: (incoming.socket.remoteAddress ?? '127.0.0.1').replace(/^::ffff:/, ''),
    };
    const mounted = this.#mounts.find(({ prefix }) => path.startsWith(prefix));
    if (mounted && (mounted.forTasks || incoming.socket.localAddress === '127.0.0.1'))
      return mounted.handler({ ...base, body: await readBody(incoming) });

    if (!this.#open) return jsonMessage(503, 'The local cloud is starting.');

    const guess = this.#guess(path, headers);
    let service = guess;
    const requestId = randomUUID();
    outgoing.setHeader('x-amzn-requestid', requestId);
    try {
      const identified = guess.kind === 'raw' ? await guess.identify?.(base) : undefined;
      if (identified !== undefined && guess.kind === 'raw') {
        const request: RawRequest = { ...base, body: await readBody(incoming) };
        return await this.#callRaw(guess, request, { caller: identified, secretAccessKey: '' });
      }
      const claim = parseClaim(headers);
      service = this.#dispatch(claim.service, headers) ?? guess;
      const streams = service.kind === 'raw' && service.streamsBody === true;
      const body = streams ? undefined : await readBody(incoming);
      const credential = verifySignature({ ...base, rawQuery, body }, claim, {
        ...this.#options,
        now: this.#options.now(),
      });
      const request: RawRequest = {
        ...base,
        body: headers['content-encoding'] === 'gzip' && body ? gunzipSync(body) : (body ?? Buffer.alloc(0)),
        stream: streams ? incoming : undefined,
      };
      if (claim.service !== service.name && service !== unknownService) {
        throw new AwsError(
          'InvalidSignatureException',
          `Credential should be scoped to correct service: '${service.name}'.`,
          403,
        );
      }
      return service.kind === 'json'
        ? await this.#callJson(service, request, credential)
        : await this.#callRaw(service, request, credential);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return service.kind === 'json' ? renderJsonError(service, error) : service.renderError(error, base);
    }
  }

  /** Whom an unsigned call was meant for: only decides the format of the error. */
  #guess(path: string, headers: Readonly<Record<string, string>>): Service {
    const target = headers['x-amz-target']?.split('.')[0] ?? '';
    const name = /^\/(_api|v1)(\/|$)/.test(path)
      ? 'execute-api'
      : target.startsWith('DynamoDB')
        ? 'dynamodb'
        : 's3';
    return this.#targets.get(target) ?? this.#services.get(name) ?? unknownService;
  }

  #dispatch(signingName: string, headers: Readonly<Record<string, string>>): Service | undefined {
    const target = headers['x-amz-target']?.split('.')[0];
    return (
      (target ? this.#targets.get(target) : undefined) ?? this.#services.get(signingName) ?? unknownService
    );
  }

  async #callJson(service: JsonService, request: RawRequest, credential: Credential): Promise<RawResponse> {
    return callJson(service, request, credential.caller, (operation, authorizations, run) =>
      this.#guarded({ service, operation, authorizations, request, credential }, run),
    );
  }

  async #callRaw(service: RawService, request: RawRequest, credential: Credential): Promise<RawResponse> {
    const { operation, authorizations } = service.describe(request, credential.caller);
    return this.#guarded({ service, operation, authorizations, request, credential }, () =>
      service.handle(request, credential.caller),
    );
  }

  async #guarded<T>(
    call: {
      service: Service;
      operation: string;
      authorizations: readonly { action: string; resource: string }[];
      request: RawRequest;
      credential: Credential;
    },
    run: () => Promise<T>,
  ): Promise<T> {
    const { caller, worker } = call.credential;
    const { record, action } = this.#options.faults.begin(
      {
        principal: caller.roleArn ?? caller.principalArn,
        function: worker?.functionName,
        invocation: worker?.invocation(),
        event: worker?.event(),
        service: call.service.name,
        operation: call.operation,
        resource: call.authorizations[0]?.resource,
      },
      new Date(this.#options.now()),
    );
    const crash = (): never => {
      record.outcome = 'crashed';
      worker?.crash();
      throw new CallerGone();
    };
    try {
      if (action?.type === 'crash-before') return crash();
      if (action?.type === 'delay') await new Promise((resolve) => setTimeout(resolve, action.ms));
      if (action?.type === 'throttle') throw throttlingError(call.service.name);
      this.#authorize(call.service, caller, call.authorizations, call.request, action?.type === 'deny');
      if (action?.type === 'cut' && call.request.stream && hasBody(call.request)) {
        await readFrom(call.request.stream, action.afterBytes);
        record.outcome = 'cut';
        throw new CallerGone();
      }
      const answer = await run();
      if (action?.type === 'cut') return cutShort(answer as RawResponse, action.afterBytes) as T;
      record.outcome = 'ok';
      return action?.type === 'crash-after' ? crash() : answer;
    } catch (error) {
      // A call that was refused has been executed too.
      if (action?.type === 'crash-after' && !(error instanceof CallerGone)) crash();
      if (record.outcome === 'running')
        record.outcome = error instanceof AwsError ? error.code : describe(error);
      throw error;
    }
  }

  #authorize(
    service: Service,
    caller: Caller,
    authorizations: readonly { action: string; resource: string }[],
    request: RawRequest,
    forced: boolean,
  ): void {
    const { iam, networkContext, log } = this.#options;
    try {
      if (forced) {
        const { action, resource } = authorizations[0] ?? { action: `${service.name}:*`, resource: '*' };
        throw new AwsError(
          'AccessDeniedException',
          `User: ${caller.principalArn} is not authorized to perform: ${action} on resource: ${resource} because a fault rule denies it`,
        );
      }
      for (const authorization of authorizations)
        iam.require(caller, authorization, networkContext(request.sourceIp, service.name));
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      log('access denied', { message: error.message });
      if (service.name === 's3' || service.name === 'sqs' || service.name === 'sts')
        throw new AwsError('AccessDenied', error.message, 403);
      if (service.name === 'ec2') throw new AwsError('UnauthorizedOperation', error.message, 403);
      if (service.name === 'execute-api') throw new AwsError(error.code, error.message, 403);
      throw error;
    }
  }
}

const hasBody = ({ headers }: RawRequest): boolean =>
  Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined;

/** Reads that much and no more; the connection stays as it is. */
async function readFrom(stream: NodeJS.ReadableStream, bytes: number): Promise<void> {
  let left = bytes;
  for await (const piece of (stream as Readable).iterator({ destroyOnReturn: false })) {
    left -= piece.length;
    if (left <= 0) return;
  }
}

/** The answer promises its whole length, and breaks off. */
function cutShort(answer: RawResponse, bytes: number): RawResponse {
  const { body = '' } = answer;
  const whole = typeof body === 'string' || Buffer.isBuffer(body) ? Readable.from([Buffer.from(body)]) : body;
  async function* begun() {
    let left = bytes;
    for await (const piece of whole) {
      const bytes = Buffer.from(piece);
      if (bytes.length >= left) {
        if (left > 0) yield bytes.subarray(0, left);
        throw new CallerGone();
      }
      left -= bytes.length;
      yield bytes;
    }
  }
  return { ...answer, body: Readable.from(begun(), { objectMode: false }) };
}

const unknownService: RawService = {
  kind: 'raw',
  name: 'unknown',
  describe(request) {
    throw new AwsError(
      'UnknownOperationException',
      `The local cloud has no service for ${request.method} ${request.path} (target ${request.headers['x-amz-target'] ?? 'none'}).`,
      404,
    );
  },
  handle: () => Promise.reject(new AwsError('UnknownOperationException', 'There is no such service.', 404)),
  renderError: (error) => ({
    status: error.status,
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': error.code },
    body: JSON.stringify({ __type: error.code, message: error.message }),
  }),
};

function flatHeaders(incoming: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(incoming.headersDistinct).map(([name, values]) => [name, (values ?? []).join(',')]),
  );
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    size += (chunk as Buffer).length;
    if (size > maxBodyBytes)
      throw new AwsError('RequestEntityTooLargeException', 'The request is too large.', 413);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function send(outgoing: ServerResponse, { status, headers = {}, body }: RawResponse): void {
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : (body ?? Buffer.alloc(0));
    // A HEAD answer states the length of the body that it leaves out.
    const length = headers['content-length'] ?? String(bytes.length);
    outgoing.writeHead(status, { ...headers, ...(status === 204 ? {} : { 'content-length': length }) });
    outgoing.end(bytes);
    return;
  }
  outgoing.writeHead(status, headers);
  const stream = body instanceof Readable ? body : Readable.from(body);
  stream.on('error', () => outgoing.destroy());
  outgoing.on('close', () => stream.destroy());
  stream.pipe(outgoing);
}

export function jsonMessage(status: number, message: string): RawResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ message }) };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
