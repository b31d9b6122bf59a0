import * as z from 'zod';
import { ControlPlaneError, InvalidRequestError, NotFoundError } from '../core/errors.ts';
import { joinRequestSchema, renewRequestSchema, reportRequestSchema } from '../core/wire/join.ts';

import { storageRequestSchema, workReportSchema } from '../core/wire/work.ts';

import type { JoinCaller, JoinDeps } from './deps.ts';
import { join } from './join.ts';
import { renew } from './renew.ts';
import { report } from './report.ts';

import { storage } from './storage.ts';
import { takeProgress } from './work.ts';

/** What we need of API Gateway's proxy event (REST API, payload format 1.0). */
const eventSchema = z.object({
  path: z.string(),
  httpMethod: z.string(),
  body: z.string().nullable(),
  isBase64Encoded: z.boolean().optional(),
  requestContext: z.object({
    requestId: z.string(),
    identity: z.object({ userArn: z.string().nullable(), sourceIp: z.string() }),
  }),
});

export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Far below what API Gateway and the nanny wait for an answer (29 s, 15 s). */
const joinHoldMs = 1_200;

type Route = (deps: JoinDeps, body: unknown, caller: JoinCaller) => Promise<unknown>;

const routes: Readonly<Record<string, Route>> = {
  join: (deps, body, caller) => join(deps, parse(joinRequestSchema, body), caller, joinHoldMs),
  storage: (deps, body, caller) => storage(deps, parse(storageRequestSchema, body), caller),
  report: (deps, body, caller) => report(deps, parse(reportRequestSchema, body), caller),
  renew: (deps, body, caller) => renew(deps, parse(renewRequestSchema, body), caller),
  work: (deps, body, caller) => takeProgress(deps, parse(workReportSchema, body), caller),
};

const statusByCode: Readonly<Record<string, [number, string]>> = {
  'invalid-request': [400, 'Invalid request'],
  'not-this-task': [403, 'Not this task'],
  'not-found': [404, 'Not found'],
  'not-joined': [409, 'Not joined'],
};

/** Answers one call of a nanny. Never throws: what went wrong is a problem document, and ours also go to the log. */
export async function answer(deps: JoinDeps, rawEvent: unknown): Promise<HttpAnswer> {
  const event = eventSchema.parse(rawEvent);
  const { requestId, identity } = event.requestContext;
  try {
    const name = event.path.split('/').at(-1) ?? '';
    const route = event.httpMethod === 'POST' && Object.hasOwn(routes, name) ? routes[name] : undefined;
    if (route === undefined) {
      throw new NotFoundError(`There is no ${event.httpMethod} ${event.path} here.`);
    }
    const caller = { principalArn: identity.userArn ?? '', sourceIp: identity.sourceIp };
    return reply(200, 'application/json', await route(deps, readBody(event), caller));
  } catch (error) {
    return problem(deps, error, requestId);
  }
}

function readBody(event: z.infer<typeof eventSchema>): unknown {
  const text = event.isBase64Encoded
    ? Buffer.from(event.body ?? '', 'base64').toString()
    : (event.body ?? '');
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidRequestError('The body must be a JSON document.', [
      { field: '', message: 'is not JSON' },
    ]);
  }
}

function parse<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => ({
    field: issue.path.map(String).join('.'),
    message: issue.message,
  }));
  const fields = problems.map(({ field }) => field || 'the document').join(', ');
  throw new InvalidRequestError(`The request is not understood: ${fields}.`, problems);
}

function problem(deps: JoinDeps, error: unknown, requestId: string): HttpAnswer {
  const known = error instanceof ControlPlaneError ? error : undefined;
  const passing: [number, string] = [503, 'Try again'];
  const [status, title] = (known &&
    (statusByCode[known.code] ?? (known.retryable ? passing : undefined))) ?? [500, 'Internal error'];
  if (status >= 500) deps.log.error('join failed', { requestId, error });
  return reply(status, 'application/problem+json', {
    type: `urn:etcd-nanny:problem:${known?.code ?? 'internal'}`,
    title,
    status,
    detail:
      known !== undefined && status !== 500
        ? known.message
        : 'The control plane failed; its log knows why. Ask again.',
    code: known?.code ?? 'internal',
    ...(known instanceof InvalidRequestError && known.problems.length > 0 && { problems: known.problems }),
    requestId,
  });
}

const reply = (statusCode: number, contentType: string, document: unknown): HttpAnswer => ({
  statusCode,
  headers: { 'content-type': contentType },
  body: JSON.stringify(document),
});
