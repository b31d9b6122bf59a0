import { ControlPlaneError, TransientError } from '../core/errors.ts';

/** Time-outs and retries of every SDK client: a function has seconds, not minutes, for one pass. */
export const clientDefaults = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 8_000, throwOnRequestTimeout: true },
} as const;

const transientNames = new Set([
  'ThrottlingException',
  'Throttling',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'ProvisionedThroughputExceededException',
  'LimitExceededException',
  'TransactionConflictException',
  'InternalServerError',
  'InternalServerException',
  'ServerException',
  'ServiceUnavailable',
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
  'TimeoutError',
  'AbortError',
  'RequestTimeout',
  'RequestTimeoutException',
]);

const transientCodes = /^(ECONN|EPIPE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|ENETUNREACH)/;

/** The name under which AWS documents an error, e.g. `ConditionalCheckFailedException`. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { $retryable, $metadata, code } = error as {
    $retryable?: unknown;
    $metadata?: { httpStatusCode?: number };
    code?: unknown;
  };
  return (
    transientNames.has(error.name) ||
    $retryable !== undefined ||
    ($metadata?.httpStatusCode ?? 0) >= 500 ||
    (typeof code === 'string' && transientCodes.test(code))
  );
}

/**
 * Runs one AWS call and turns what it throws into our own errors.
 *
 * @param action AWS action as IAM names it, e.g. `ecs:RunTask`
 * @throws TransientError when the same call may succeed later
 * @throws ControlPlaneError `access-denied` or `aws-refused` otherwise
 */
export async function callAws<T>(action: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw translate(action, error);
  }
}

export function translate(action: string, error: unknown): ControlPlaneError {
  if (error instanceof ControlPlaneError) return error;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (isTransient(error)) {
    return new TransientError(`${action} failed for now, try again: ${message}`, { cause: error });
  }
  if (/AccessDenied|NotAuthorized|UnauthorizedOperation/.test(errorName(error))) {
    return new ControlPlaneError(
      'access-denied',
      `The role of this function may not call ${action}; add it to the role's policy. AWS says: ${message}`,
      { cause: error },
    );
  }
  return new ControlPlaneError('aws-refused', `${action} was refused: ${message}`, { cause: error });
}
