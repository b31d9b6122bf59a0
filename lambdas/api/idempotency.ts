import { createHash } from 'node:crypto';
import type { IdempotentRecord } from '../core/ports.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError } from './problem.ts';

export interface Answer {
  readonly status: 200 | 202;
  readonly body: unknown;
  /**
   * The body holds a secret that is given out once: it is never stored, and a repeated request is told so.
   */
  readonly once?: boolean;
  /** Instead of JSON. */
  readonly text?: string;
}

export interface IdentifiedRequest {
  readonly tenantId: string;
  readonly key: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

const hashOf = (request: IdentifiedRequest): string =>
  createHash('sha256')
    .update(JSON.stringify([request.method, request.path, request.body]))
    .digest('hex');

function replay(found: IdempotentRecord, hash: string): Answer {
  if (found.requestHash !== hash) {
    throw new ApiError(
      'idempotency-mismatch',
      'This Idempotency-Key was used for another request within the last 24 hours. Use a new key for a new request.',
    );
  }
  if (found.body === '') {
    throw new ApiError(
      'already-issued',
      'This request was answered before with a private key, which is given out once and never stored. ' +
        'Send it again with a new Idempotency-Key to get a new one.',
    );
  }
  return { status: found.status as Answer['status'], body: JSON.parse(found.body) };
}

/**
 * Same key and same request: the same answer, for 24 hours. Only answers of success are kept: a refusal is worth
 * asking about again. Two such requests at the same moment may both run; every write is safe to run twice.
 */
export async function once(
  deps: Pick<ApiDeps, 'store'>,
  request: IdentifiedRequest,
  run: () => Promise<Answer>,
): Promise<Answer> {
  if (request.key === undefined) return run();
  const hash = hashOf(request);
  const found = await deps.store.getIdempotent(request.tenantId, request.key);
  if (found) return replay(found, hash);
  const answer = await run();
  await deps.store.putIdempotent(request.tenantId, request.key, {
    requestHash: hash,
    status: answer.status,
    body: answer.once ? '' : JSON.stringify(answer.body),
  });
  return answer;
}
