import { ControlPlaneError } from '../../../lambdas/core/errors.ts';
import type { WorkProgress } from '../../../lambdas/core/wire/work.ts';
import { DamagedSegmentError } from '../backup/segment.ts';
import { sentence } from '../log.ts';
import { WrongSnapshotError } from '../restore.ts';
import { S3Error } from '../s3/errors.ts';

type Failed = Extract<WorkProgress, { state: 'failed' }>;

/** Why the work cannot be done; codes as in wire/work.ts. */
export class WorkError extends ControlPlaneError {
  readonly failure: Failed;

  constructor(code: Failed['code'], problem: string, options: { key?: string; cause?: unknown } = {}) {
    super(code, problem, { retryable: code === 'passing', cause: options.cause });
    this.failure = {
      state: 'failed',
      code,
      problem,
      ...(options.key !== undefined && { key: options.key }),
    };
  }
}

export const failureOf = (error: unknown): Failed =>
  error instanceof WorkError ? error.failure : { state: 'failed', code: 'passing', problem: sentence(error) };

/** What fetching an object failed with. */
export function fetchFailure(key: string, error: unknown): WorkError {
  const options = { key, cause: error };
  if (error instanceof S3Error && (error.status === 404 || error.code === 'NoSuchKey')) {
    return new WorkError('damaged', `${key} is missing.`, options);
  }
  if (error instanceof DamagedSegmentError) {
    return new WorkError('damaged', `${key} is not what was stored: ${error.message}.`, options);
  }
  if (error instanceof WrongSnapshotError) {
    const code = error.code === 'altered-snapshot' ? 'damaged' : 'unusable';
    return new WorkError(code, sentence(error), options);
  }
  return new WorkError('passing', sentence(error), { cause: error });
}

/** Whether the same object may be whole the next time: altered on the way, or S3 had a fault. */
export const mayPass = (error: unknown): boolean =>
  (error instanceof S3Error && error.retryable) ||
  error instanceof DamagedSegmentError ||
  (error instanceof WrongSnapshotError && error.code === 'altered-snapshot');
