import { type IncomingMessage, request } from 'node:http';
import * as z from 'zod';

/** A refusal of the Docker engine, in its own words. */
export class EngineError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'EngineError';
    this.status = status;
  }
}

export interface CreateContainer {
  readonly name: string;
  /** As `POST /containers/create` takes it. */
  readonly body: unknown;
}

/** The part of the Docker Engine API (1.41 and later) that the runtime needs. */
export interface Engine {
  /** @throws EngineError, or the system's error when nobody listens */
  version(): Promise<string>;
  image(name: string): Promise<{ readonly labels: Readonly<Record<string, string>> } | undefined>;
  create(container: CreateContainer): Promise<string>;
  start(id: string): Promise<void>;
  /** Pid on the engine's machine of the first process, 0 when none runs. */
  pid(id: string): Promise<number>;
  /** Settles when the container has ended. */
  wait(id: string): Promise<{ readonly exitCode: number }>;
  /** Harmless when it does not run any more. */
  kill(id: string, signal: NodeJS.Signals): Promise<void>;
  pause(id: string, on: boolean): Promise<void>;
  /** Harmless when it is gone. False when it was. */
  remove(id: string): Promise<boolean>;
  /** What it prints from now on, both streams, until it ends. */
  logs(id: string): Promise<AsyncIterable<Buffer>>;
  /** Of containers that have the label, running or not. */
  withLabel(label: string): Promise<string[]>;
  createNetwork(body: unknown): Promise<string>;
  networks(label: string): Promise<{ readonly id: string; readonly name: string }[]>;
  removeNetwork(id: string): Promise<void>;
  connect(network: string, container: string, ip: string): Promise<void>;
  disconnect(network: string, container: string): Promise<void>;
}

const listSchema = z.array(z.object({ Id: z.string(), Name: z.string().optional() }));
const idSchema = z.object({ Id: z.string() });
const imageSchema = z.object({
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});
const inspectSchema = z.object({ State: z.object({ Pid: z.number() }) });
const problemSchema = z.object({ message: z.string() });

export function createEngine(socketPath = '/var/run/docker.sock'): Engine {
  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await send(socketPath, method, path, body);
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece);
    const text = Buffer.concat(pieces).toString('utf8');
    const document = text === '' ? undefined : parse(text);
    const status = answer.statusCode ?? 0;
    // 304: it is so already.
    if (status < 300 || status === 304) return document;
    throw new EngineError(
      status,
      problemSchema.safeParse(document).data?.message ?? `Docker answered ${status}`,
    );
  }
  const harmless = async (statuses: readonly number[], work: Promise<unknown>): Promise<boolean> => {
    try {
      await work;
      return true;
    } catch (error) {
      if (error instanceof EngineError && statuses.includes(error.status)) return false;
      throw error;
    }
  };
  const filters = (label: string) => `filters=${encodeURIComponent(JSON.stringify({ label: [label] }))}`;
  return {
    async version() {
      return z.object({ Version: z.string() }).parse(await call('GET', '/version')).Version;
    },
    async image(name) {
      try {
        const { Config } = imageSchema.parse(await call('GET', `/images/${encodeURIComponent(name)}/json`));
        return { labels: Config?.Labels ?? {} };
      } catch (error) {
        if (error instanceof EngineError && error.status === 404) return undefined;
        throw error;
      }
    },
    async create({ name, body }) {
      return idSchema.parse(await call('POST', `/containers/create?name=${name}`, body)).Id;
    },
    async start(id) {
      await call('POST', `/containers/${id}/start`);
    },
    async pid(id) {
      return inspectSchema.parse(await call('GET', `/containers/${id}/json`)).State.Pid;
    },
    async wait(id) {
      const { StatusCode } = z
        .object({ StatusCode: z.number() })
        .parse(await call('POST', `/containers/${id}/wait`));
      return { exitCode: StatusCode };
    },
    async kill(id, signal) {
      await harmless([404, 409], call('POST', `/containers/${id}/kill?signal=${signal}`));
    },
    async pause(id, on) {
      await harmless([404, 409, 500], call('POST', `/containers/${id}/${on ? 'pause' : 'unpause'}`));
    },
    // 409: somebody else removes it already.
    remove: (id) => harmless([404, 409], call('DELETE', `/containers/${id}?force=1&v=1`)),
    async logs(id) {
      const answer = await send(socketPath, 'GET', `/containers/${id}/logs?follow=1&stdout=1&stderr=1`);
      return withoutFrames(answer);
    },
    async withLabel(label) {
      const list = listSchema.parse(await call('GET', `/containers/json?all=1&${filters(label)}`));
      return list.map(({ Id }) => Id);
    },
    async createNetwork(body) {
      return idSchema.parse(await call('POST', '/networks/create', body)).Id;
    },
    async networks(label) {
      const list = listSchema.parse(await call('GET', `/networks?${filters(label)}`));
      return list.map(({ Id, Name = '' }) => ({ id: Id, name: Name }));
    },
    async removeNetwork(id) {
      await harmless([404], call('DELETE', `/networks/${id}`));
    },
    async connect(network, container, ip) {
      const EndpointConfig = { IPAMConfig: { IPv4Address: ip } };
      await harmless(
        [404, 403, 409],
        call('POST', `/networks/${network}/connect`, { Container: container, EndpointConfig }),
      );
    },
    async disconnect(network, container) {
      await harmless(
        [404, 403, 409],
        call('POST', `/networks/${network}/disconnect`, { Container: container, Force: true }),
      );
    },
  };
}

function send(socketPath: string, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      method,
      path,
      headers: {
        host: 'docker',
        ...(text !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        }),
      },
    });
    call.on('response', resolve).on('error', reject);
    call.end(text);
  });
}

/** Each piece of a stream has a header of 8 bytes before it, the length in the last 4. */
export async function* withoutFrames(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const piece of stream) {
    rest = Buffer.concat([rest, piece]);
    while (rest.length >= 8) {
      const end = 8 + rest.readUInt32BE(4);
      if (rest.length < end) break;
      yield rest.subarray(8, end);
      rest = rest.subarray(end);
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.trim() };
  }
}
