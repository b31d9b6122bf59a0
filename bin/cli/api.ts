import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import * as z from 'zod';
import { CliError, exitCodes, unreachable } from './errors.ts';
import type { Target } from './target.ts';
import type { World } from './world.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

export interface Api {
  readonly target: Target;
  /** @throws CliError with the API's own sentence */
  call<T>(request: ApiRequest): Promise<T>;
  /** All pages of a list, or the first `limit` items. */
  all<T>(path: string, limit?: number): Promise<T[]>;
}

const problemSchema = z.object({
  code: z.string(),
  detail: z.string(),
  problems: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});
const gatewaySchema = z.object({ message: z.string() });

/** The API asks for it with 503; the same request may be sent again, writes carry an Idempotency-Key. */
const tries = 4;
const requestTimeoutMs = 30_000;

export function createApi(world: World, target: Target): Api {
  async function send(request: ApiRequest, idempotencyKey: string): Promise<Response> {
    const url = new URL(target.url + request.path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers = await sign(world, target, url, request.method, body, idempotencyKey);
    try {
      return await world.fetch(url, {
        method: request.method,
        headers,
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
    } catch (cause) {
      throw unreachable(target.url, cause);
    }
  }

  async function call<T>(request: ApiRequest): Promise<T> {
    const key = world.randomId();
    for (let attempt = 1; ; attempt++) {
      const response = await send(request, key);
      if (response.ok) return (await response.json()) as T;
      const again = [429, 500, 502, 503, 504].includes(response.status) && attempt < tries;
      if (!again) throw await refusal(response, target.url, Boolean(world.env.NANNY_TOKEN));
      await world.sleep(250 * 2 ** attempt);
    }
  }

  return {
    target,
    call,
    async all<T>(path: string, limit = Number.POSITIVE_INFINITY) {
      const items: T[] = [];
      let cursor: string | undefined;
      do {
        const size = String(Math.min(100, limit - items.length));
        const page: { items: T[]; cursor?: string } = await call({
          method: 'GET',
          path,
          query: { limit: size, cursor },
        });
        items.push(...page.items);
        cursor = page.cursor;
      } while (cursor !== undefined && items.length < limit);
      return items;
    },
  };
}

async function sign(
  world: World,
  target: Target,
  url: URL,
  method: string,
  body: string | undefined,
  idempotencyKey: string,
): Promise<Record<string, string>> {
  const plain = {
    accept: 'application/json',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(method === 'GET' ? {} : { 'idempotency-key': idempotencyKey }),
  };
  // Of a deployment whose setting `jwt` is on: it knows no signatures.
  if (world.env.NANNY_TOKEN) return { ...plain, authorization: `Bearer ${world.env.NANNY_TOKEN}` };
  const signer = new SignatureV4({
    service: 'execute-api',
    region: target.region,
    credentials: await target.credentials(),
    sha256: Sha256,
  });
  const signed = await signer.sign(
    {
      method,
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port ? { port: Number(url.port) } : {}),
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { host: url.host, ...plain },
      ...(body === undefined ? {} : { body }),
    },
    { signingDate: world.now() },
  );
  // fetch sets the host itself, from the same URL.
  const { host, ...headers } = signed.headers;
  return headers;
}

async function refusal(response: Response, url: string, byToken: boolean): Promise<CliError> {
  const text = await response.text();
  const json = parseJson(text);
  const problem = problemSchema.safeParse(json);
  if (problem.success) {
    const { code, detail, problems } = problem.data;
    const exitCode = response.status === 400 ? exitCodes.wrongUse : exitCodes.failed;
    return new CliError(detail, { code, exitCode, problems: problems ?? [] });
  }
  const gateway = gatewaySchema.safeParse(json);
  const said = gateway.success ? gateway.data.message : text.slice(0, 200) || `HTTP ${response.status}`;
  if (byToken && response.status === 401) {
    return new CliError(
      `${url} refuses the token in NANNY_TOKEN: ${said}. It may have expired, or be of another issuer or audience than the deployment's setting "jwt" names. Get a new one; a deployment without that setting takes AWS credentials: unset NANNY_TOKEN.`,
      { code: 'forbidden' },
    );
  }
  if (response.status === 401 || response.status === 403) {
    return new CliError(
      `${url} refuses these AWS credentials: ${said}. Check who you are (aws sts get-caller-identity) and that you may ` +
        'call execute-api:Invoke; for a local cloud give its --state, for a deployment with the setting "jwt" a token in NANNY_TOKEN.',
      { code: 'forbidden' },
    );
  }
  return new CliError(`${url} answered ${response.status}: ${said}`, { code: 'unexpected-answer' });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
