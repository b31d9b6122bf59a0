import * as z from 'zod';
import type { CommonOptions } from '../context.ts';
import { CliError } from '../errors.ts';
import { resolveTarget } from '../target.ts';
import type { World } from '../world.ts';

const statusSchema = z.object({ stateDir: z.string(), pid: z.int() });
const refusalSchema = z.object({ message: z.string() });
const requestTimeoutMs = 30_000;

/** Control of a local cloud. */
export interface LocalControl {
  readonly url: string;
  /** @throws CliError with the local cloud's own sentence */
  post<T>(path: string, body: unknown): Promise<T>;
  get<T>(path: string): Promise<T>;
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host);

/**
 * The local cloud that the options point at. Nothing is ever sent to anything else: neither to another host, nor to
 * something on this one that does not say that it is a local cloud.
 * @throws CliError
 */
export async function localControl(world: World, options: CommonOptions): Promise<LocalControl> {
  const { url } = await resolveTarget(world, options);
  const { origin, hostname } = new URL(url);
  if (!isLoopback(hostname)) {
    throw new CliError(
      `Chaos is for the local cloud only, and ${url} is not on this machine: nothing was done. ` +
        'Leave --url and NANNY_URL out, or point them at a local cloud.',
      { code: 'not-local' },
    );
  }
  const call = async <T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> => {
    const response = await world.fetch(`${origin}/_local/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    const document: unknown = await response.json().catch(() => undefined);
    if (response.ok) return document as T;
    const said = refusalSchema.safeParse(document);
    throw new CliError(said.success ? said.data.message : `${origin} answered ${response.status}.`, {
      code: response.status === 404 ? 'not-found' : 'refused',
    });
  };
  const status = await call('GET', 'status').catch((error: unknown) => error);
  if (!statusSchema.safeParse(status).success) {
    throw new CliError(
      `What answers at ${origin} is no local cloud: nothing was done. Start one with "npm start".`,
      { code: 'not-local', cause: status },
    );
  }
  return {
    url: origin,
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, body),
  };
}
