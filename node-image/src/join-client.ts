import * as z from 'zod';
import { ControlPlaneError, TransientError } from '../../lambdas/core/errors.ts';
import {
  type IssuedCertificates,
  issuedCertificatesSchema,
  type JoinAnswer,
  type JoinRequest,
  joinAnswerSchema,
  type RenewRequest,
  type ReportAnswer,
  type ReportRequest,
  reportAnswerSchema,
} from '../../lambdas/core/wire/join.ts';
import {
  type StorageAnswer,
  storageAnswerSchema,
  type WorkReport,
  type WorkReportAnswer,
  workReportAnswerSchema,
} from '../../lambdas/core/wire/work.ts';
import type { Credentials } from './credentials.ts';
import { httpCall } from './http.ts';
import { sha256Hex, signed } from './sigv4.ts';

/** The control plane understood the call and said no. Asked again all the same: ECS shows a new task late. */
export class JoinRefusedError extends ControlPlaneError {
  constructor(message: string) {
    super('join-refused', message, { retryable: true });
  }
}

/** @throws JoinRefusedError for a 4xx answer, TransientError for anything that passes by itself */
export interface JoinClient {
  /** @param onSent called when the request is on its way */
  join(request: JoinRequest, onSent?: () => void): Promise<JoinAnswer>;
  report(request: ReportRequest): Promise<ReportAnswer>;
  renew(request: RenewRequest): Promise<IssuedCertificates>;
  storage(request: { tenantId: string; memberName: string }): Promise<StorageAnswer>;
  work(request: WorkReport): Promise<WorkReportAnswer>;
}

export interface JoinClientOptions {
  readonly baseUrl: string;
  readonly region: string;
  readonly credentials: () => Promise<Credentials>;
  /** The task's own address: join compares the caller's address with what ECS says of the task. */
  readonly ip: string;
  readonly now: () => Date;
}

/** API Gateway gives up after 29 s; a cold start of the join function takes about 2 s. */
const timeoutMs = 15_000;

export function createJoinClient(options: JoinClientOptions): JoinClient {
  async function post<T>(
    route: string,
    schema: z.ZodType<T>,
    body: unknown,
    onSent?: () => void,
  ): Promise<T> {
    const url = new URL(`${options.baseUrl}/${route}`);
    const text = JSON.stringify(body);
    const headers = signed(
      {
        method: 'POST',
        path: url.pathname,
        headers: { host: url.host, 'content-type': 'application/json' },
        bodySha256: sha256Hex(text),
      },
      {
        service: 'execute-api',
        region: options.region,
        credentials: await options.credentials(),
        now: options.now(),
      },
    );
    const answer = await httpCall(url, {
      method: 'POST',
      headers,
      body: text,
      timeoutMs,
      localAddress: options.ip,
      onSent,
    });
    if (answer.status === 429 || answer.status >= 500) {
      throw new TransientError(`The control plane answered ${answer.status} to ${route}${reason(answer)}`);
    }
    if (answer.status !== 200) {
      throw new JoinRefusedError(
        `The control plane refused ${route} (${answer.status})${reason(answer)}. ${hint(answer.status)}`,
      );
    }
    const parsed = schema.safeParse(parseJson(answer.body));
    if (!parsed.success) {
      throw new JoinRefusedError(
        `The control plane's answer to ${route} is not understood (is the node image older than the control plane?): ${z.prettifyError(parsed.error)}`,
      );
    }
    return parsed.data;
  }

  return {
    join: (request, onSent) => post('join', joinAnswerSchema, request, onSent),
    report: (request) => post('report', reportAnswerSchema, request),
    renew: (request) => post('renew', issuedCertificatesSchema, request),
    storage: (request) => post('storage', storageAnswerSchema, request),
    work: (request) => post('work', workReportAnswerSchema, request),
  };
}

/** The problem document of our functions has `detail`; API Gateway's own errors have `message`. */
function reason(answer: { body: string }): string {
  const document = parseJson(answer.body) as Record<string, unknown> | undefined;
  const text = document?.detail ?? document?.message ?? document?.Message ?? document?.title;
  return typeof text === 'string' ? `: ${text.replace(/\.$/, '')}` : '';
}

function hint(status: number): string {
  return status === 403
    ? 'Either this task was not launched for this member, or the task role may not call the API.'
    : 'The node image and the control plane may be of different versions.';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
