import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

/** S3 said no, or did not answer. `code` is S3's own (`NoSuchKey`, `AccessDenied`), or `unreachable`. */
export class S3Error extends ControlPlaneError {
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;

  constructor(
    code: string,
    message: string,
    options: { status?: number; retryable: boolean; cause?: unknown },
  ) {
    super(code, message, options);
    this.status = options.status;
  }
}

const passing = new Set(['SlowDown', 'RequestTimeout', 'InternalError', 'ServiceUnavailable', 'Throttling']);

export function refused(what: string, status: number, document: string): S3Error {
  const code = textOf(document, 'Code') ?? `http-${status}`;
  const why = textOf(document, 'Message') ?? 'no reason given';
  const retryable = status >= 500 || status === 429 || passing.has(code);
  return new S3Error(
    code,
    `S3 refused ${what}: ${why} (${code}, ${status}). ${advice(code, status)}`.trim(),
    {
      status,
      retryable,
    },
  );
}

export function unreachable(what: string, cause: unknown): S3Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new S3Error('unreachable', `S3 could not be reached for ${what}: ${why}`, {
    retryable: true,
    cause,
  });
}

function advice(code: string, status: number): string {
  if (status === 403)
    return 'The role of the store, which join hands out, must be allowed to read and write below this prefix of the bucket.';
  if (code === 'PreconditionFailed') return 'There is an object under this key already: take another key.';
  if (code === 'NoSuchBucket') return 'The bucket of the cell is missing: deploy the cell again.';
  return '';
}

/** The text of the first such element of an XML document. */
export function textOf(document: string, element: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(document)?.[1];
}
