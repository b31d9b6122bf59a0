import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { type SourceContext, SourceFailure } from './source.ts';

/** No answer, or nothing more of it, for this long: the host is out of reach. */
const silenceMs = 20_000;
const progressEveryMs = 2_000;

export interface Downloaded {
  readonly sha256: string;
  readonly bytes: number;
}

/** Streams `url` to `target`. @throws SourceFailure */
export async function download(
  address: string,
  target: string,
  context: Pick<SourceContext, 'machine' | 'progress'>,
): Promise<Downloaded> {
  const { url, headers } = withoutCredentials(address);
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), silenceMs);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), silenceMs);
  };
  try {
    const response = await context.machine.fetch(url, { headers, signal: abort.signal, redirect: 'follow' });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new SourceFailure(`${url} answered ${response.status}`);
    }
    const total = Number(response.headers.get('content-length') ?? 0);
    const hash = createHash('sha256');
    let bytes = 0;
    let toldAt = Date.now();
    const counted = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        heard();
        hash.update(chunk);
        bytes += chunk.length;
        if (Date.now() - toldAt >= progressEveryMs) {
          toldAt = Date.now();
          context.progress(
            `${nameOf(url)}: ${megabytes(bytes)}${total > 0 ? ` of ${megabytes(total)}` : ''}`,
          );
        }
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body as ReadableStream), counted, createWriteStream(target));
    return { sha256: hash.digest('hex'), bytes };
  } catch (error) {
    if (error instanceof SourceFailure) throw error;
    throw new SourceFailure(
      `${url} cannot be fetched: ${abort.signal.aborted ? `no answer for ${silenceMs / 1000} s` : reasonOf(error)}`,
      'behind a proxy, set HTTPS_PROXY, HTTP_PROXY and NODE_USE_ENV_PROXY=1',
    );
  } finally {
    clearTimeout(timer);
  }
}

/** fetch refuses `http://user:password@host`, as apt's configuration may have it; and no message may show it. */
export function withoutCredentials(address: string): { url: string; headers: Record<string, string> } {
  const url = new URL(address);
  const { username, password } = url;
  if (username === '') return { url: address, headers: {} };
  url.username = '';
  url.password = '';
  const token = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString(
    'base64',
  );
  return { url: url.href, headers: { authorization: `Basic ${token}` } };
}

/** Undici hides the reason ("fetch failed") in the cause. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  if (cause instanceof Error) return cause.message;
  return error instanceof Error ? error.message : String(error);
}

function nameOf(url: string): string {
  return new URL(url).pathname.split('/').pop() ?? url;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
