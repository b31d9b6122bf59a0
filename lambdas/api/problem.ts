import * as z from 'zod';
import { ConflictError, ControlPlaneError, InvalidRequestError, NotFoundError } from '../core/errors.ts';

/** RFC 9457. `code` is stable; `problems` names every bad field of the request. */
export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  problems: z.array(z.strictObject({ field: z.string(), message: z.string() })).optional(),
  requestId: z.string(),
});

export type Problem = z.infer<typeof problemSchema>;

/** Refusals that only the API knows, by code: HTTP status and title. */
const apiProblems = {
  unauthenticated: [401, 'Not signed'],
  'not-allowed': [403, 'Not allowed'],
  'quota-exceeded': [403, 'Quota exceeded'],
  'not-found': [404, 'Not found'],
  'method-not-allowed': [405, 'Method not allowed'],
  conflict: [409, 'Conflict'],
  'no-room': [409, 'No cell has room'],
  'deletion-protected': [409, 'Deletion protection is on'],
  'still-creating': [409, 'Still creating'],
  deleting: [409, 'Being deleted'],
  'one-at-a-time': [409, 'One kind of change at a time'],
  'operation-under-way': [409, 'Another operation is under way'],
  recovering: [409, 'Being recovered'],
  'not-available': [409, 'Not available'],
  'version-refused': [409, 'Version refused'],
  'members-unhealthy': [409, 'Members unhealthy'],
  'nothing-to-approve': [409, 'Nothing to approve'],
  'already-issued': [409, 'Already issued'],
  'payload-too-large': [413, 'Request too large'],
  'unsupported-media-type': [415, 'Unsupported content type'],
  'idempotency-mismatch': [422, 'Idempotency-Key used for another request'],
  'invalid-request': [400, 'Invalid request'],
} as const satisfies Record<string, readonly [number, string]>;

export type ApiProblemCode = keyof typeof apiProblems;

/** A refusal with its own code. The message says what to do next. */
export class ApiError extends ControlPlaneError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ApiProblemCode, message: string, headers: Record<string, string> = {}) {
    super(code, message);
    this.headers = headers;
  }
}

export interface RenderedProblem {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
  /** The fault is ours: to be logged with its cause. */
  readonly unexpected: boolean;
}

/** The answer to any error. What is not meant for callers stays in the log, under the same request id. */
export function renderProblem(error: unknown, requestId: string): RenderedProblem {
  const known = error instanceof ControlPlaneError ? apiProblems[error.code as ApiProblemCode] : undefined;
  const document = (status: number, title: string, code: string, detail: string): Problem => ({
    type: `urn:etcd-nanny:problem:${code}`,
    title,
    status,
    detail,
    code,
    ...(error instanceof InvalidRequestError && error.problems.length > 0
      ? { problems: [...error.problems] }
      : {}),
    requestId,
  });
  if (error instanceof ControlPlaneError && known) {
    const expected =
      error instanceof ApiError ||
      error instanceof InvalidRequestError ||
      error instanceof NotFoundError ||
      error instanceof ConflictError;
    return {
      problem: document(known[0], known[1], error.code, error.message),
      headers: error instanceof ApiError ? error.headers : {},
      unexpected: !expected,
    };
  }
  if (error instanceof ControlPlaneError && error.retryable) {
    return {
      problem: document(
        503,
        'Not available now',
        'unavailable',
        'A service behind the API did not answer in time. Nothing is lost: send the same request again in a few seconds.',
      ),
      headers: { 'retry-after': '3' },
      unexpected: true,
    };
  }
  return {
    problem: document(
      500,
      'Internal error',
      'internal',
      `The API failed. Its log has the reason under request id ${requestId}; the same request may be sent again.`,
    ),
    headers: {},
    unexpected: true,
  };
}
