import type { IncomingMessage, ServerResponse } from 'node:http';
import * as https from 'node:https';
import type { TLSSocket } from 'node:tls';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';
import type { Log } from '../../../lambdas/core/ports.ts';
import type { ClientTls } from '../etcd/grpc.ts';
import { sentence } from '../log.ts';
import { callerOf } from './caller.ts';
import { AdminError, statusOf } from './errors.ts';
import { type AdminDeps, answer } from './routes.ts';

const maxBodyBytes = 64 * 1024;

export interface AdminServer {
  /** New handshakes use the new certificate and CA; connections that are open go on. */
  renew(tls: ClientTls): void;
  close(): Promise<void>;
}

/** @throws ControlPlaneError when it cannot listen there */
export async function startAdminServer(
  options: { ip: string; port: number; tls: ClientTls; log: Log },
  deps: AdminDeps,
): Promise<AdminServer> {
  const { ip, port, log } = options;
  const server = https.createServer(
    { ...secure(options.tls), requestCert: true, rejectUnauthorized: true, requestTimeout: 10_000 },
    (request, response) => {
      handle(deps, log, request, response).catch((error) => {
        log.warn(`The admin API could not answer: ${sentence(error)}`);
        response.destroy();
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new ControlPlaneError(
          'cannot-listen',
          `The admin API cannot listen on ${ip}:${port}: ${cause.message}. Is another nanny running there?`,
          { cause },
        ),
      ),
    );
    server.listen(port, ip, resolve);
  });
  return {
    renew: (tls) => server.setSecureContext(secure(tls)),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function secure(tls: ClientTls) {
  return { ...tls, minVersion: 'TLSv1.2' as const };
}

async function handle(
  deps: AdminDeps,
  log: Log,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://nanny');
  const method = request.method ?? 'GET';
  try {
    const caller = callerOf(request.socket as TLSSocket);
    const body = await readBody(request);
    const fenceHeader = request.headers['x-fencing-token']?.toString();
    const result = await answer(deps, { method, url, caller, fenceHeader, body });
    if (method === 'POST') log.info(`Done: ${url.pathname}`, { body, fence: fenceHeader });
    send(response, 200, result);
  } catch (error) {
    const known =
      error instanceof ControlPlaneError ? error : new AdminError(500, 'internal', sentence(error));
    if (method === 'POST') log.warn(`Refused: ${url.pathname}: ${known.message}`, { code: known.code });
    const { code, message, retryable } = known;
    send(response, statusOf(known), { error: { code, message, retryable } });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new AdminError(413, 'too-large', 'The body is longer than 64 KiB.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
