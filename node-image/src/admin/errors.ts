import type * as z from 'zod';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

/** An answer of the admin API that is not 200. */
export class AdminError extends ControlPlaneError {
  readonly status: number;

  constructor(status: number, code: string, message: string, options: { retryable?: boolean } = {}) {
    super(code, message, options);
    this.status = status;
  }
}

export function invalid(message: string): AdminError {
  return new AdminError(400, 'invalid-request', message);
}

export function invalidFields(error: z.ZodError): AdminError {
  const list = error.issues.map(
    (issue) => `${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}`,
  );
  return invalid(`The request is not valid: ${list.join('; ')}.`);
}

/** HTTP status of an error by its code: what etcd refuses for now is 503, for good 409. */
export function statusOf(error: ControlPlaneError): number {
  if (error instanceof AdminError) return error.status;
  if (error.code === 'member-not-found') return 404;
  if (error.code === 'timeout') return 504;
  return error.retryable ? 503 : 409;
}
