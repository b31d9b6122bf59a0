import * as http from 'node:http';
import * as https from 'node:https';
import { TransientError } from '../../lambdas/core/errors.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly timeoutMs: number;
  /** Source address of the connection. */
  readonly localAddress?: string;
  readonly agent?: https.Agent;
  /** The call is on its way: from here on there is only the answer to wait for. */
  readonly onSent?: (() => void) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const maxAnswerBytes = 1024 * 1024;

/** @throws TransientError when there was no answer in time */
export async function httpCall(url: URL, call: HttpCall): Promise<HttpAnswer> {
  const { method, headers, timeoutMs, localAddress, agent, onSent } = call;
  const start = url.protocol === 'https:' ? https.request : http.request;
  return await new Promise<HttpAnswer>((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new TransientError(`${method} ${url.origin}${url.pathname}: ${why}`, { cause }));
    const request = start(url, {
      method,
      headers,
      localAddress,
      agent,
      signal: AbortSignal.timeout(timeoutMs),
    });
    request.on('error', (error) =>
      fail(error.name === 'AbortError' ? `no answer within ${timeoutMs} ms` : error.message, error),
    );
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) request.destroy(new Error('the answer is longer than 1 MiB'));
        else chunks.push(chunk);
      });
      response.on('error', (error) => fail(error.message, error));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    if (onSent) request.on('finish', onSent);
    request.end(call.body);
  });
}
