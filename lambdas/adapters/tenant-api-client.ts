import { Sha256 } from '@aws-crypto/sha256-js';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { SignatureV4 } from '@smithy/signature-v4';
import * as z from 'zod';
import { ControlPlaneError, TransientError } from '../core/errors.ts';

export interface TenantApiRequest {
  readonly method: 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
}

/** The provisioning API, as code that is no part of it calls it. */
export interface TenantApiClient {
  /**
   * @throws ControlPlaneError with the API's own code and sentence
   * @throws TransientError when the same call may succeed later
   */
  call(request: TenantApiRequest): Promise<{ readonly status: number; readonly body: unknown }>;
}

/** A refusal by the API. */
export class ApiRefusal extends ControlPlaneError {}

const problemSchema = z.object({ code: z.string(), detail: z.string() });
const gatewaySchema = z.object({ message: z.string() });
const timeoutMs = 25_000;

/**
 * | method | AWS actions | resource |
 * |---|---|---|
 * | call | execute-api:Invoke | method and path of the HTTP API |
 */
export class SignedTenantApiClient implements TenantApiClient {
  readonly #base: string;
  readonly #signer: SignatureV4;
  readonly #fetch: typeof fetch;

  constructor(options: {
    baseUrl: string;
    region: string;
    fetch?: typeof fetch;
    credentials?: ConstructorParameters<typeof SignatureV4>[0]['credentials'];
  }) {
    this.#base = options.baseUrl.replace(/\/$/, '');
    this.#fetch = options.fetch ?? fetch;
    this.#signer = new SignatureV4({
      service: 'execute-api',
      region: options.region,
      credentials: options.credentials ?? defaultProvider(),
      sha256: Sha256,
    });
  }

  async call({ method, path, body, idempotencyKey }: TenantApiRequest) {
    const url = new URL(this.#base + path);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const signed = await this.#signer.sign({
      method,
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port ? { port: Number(url.port) } : {}),
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: {
        host: url.host,
        accept: 'application/json',
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      },
      ...(text === undefined ? {} : { body: text }),
    });
    // fetch sets the host itself, from the same URL.
    const { host: _, ...headers } = signed.headers;
    let response: Response;
    try {
      response = await this.#fetch(url, {
        method,
        headers,
        ...(text === undefined ? {} : { body: text }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw new TransientError(`The API at ${this.#base} cannot be reached: ${said}`, { cause });
    }
    const answer = await response.text();
    if (response.ok) return { status: response.status, body: JSON.parse(answer) as unknown };
    throw this.#refusal(`${method} ${url.pathname}`, response.status, answer);
  }

  #refusal(what: string, status: number, text: string): ControlPlaneError {
    const json = parse(text);
    if (status === 429 || status >= 500)
      return new TransientError(`The API answered ${what} with HTTP ${status}: ${text.slice(0, 200)}`);
    const problem = problemSchema.safeParse(json);
    if (problem.success) return new ApiRefusal(problem.data.code, problem.data.detail);
    const gateway = gatewaySchema.safeParse(json);
    const said = gateway.success ? gateway.data.message : text.slice(0, 200);
    if (status === 401 || status === 403)
      return new ApiRefusal(
        'forbidden',
        `The API at ${this.#base} refuses ${what} (${said}). Its routes must be authorised by IAM, and the role of this ` +
          'function must be allowed execute-api:Invoke on them, in the same account.',
      );
    return new ApiRefusal('unexpected-answer', `The API answered ${what} with HTTP ${status}: ${said}`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
