/**
 * The error family of the control plane.
 *
 * `code` is stable and machine readable (it becomes the problem type of the API), `retryable` says whether the same
 * call may succeed later without anybody changing anything, and the message says what to do next.
 */
export class ControlPlaneError extends Error {
  readonly code: string;
  readonly retryable: boolean;

  constructor(code: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** Somebody else wrote the record first: read again, decide again. */
export class ConflictError extends ControlPlaneError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('conflict', message, { retryable: true, ...options });
  }
}

/** Another function works on this tenant now, or took over from us: stop, somebody else goes on. */
export class LeaseLostError extends ControlPlaneError {
  constructor(message: string) {
    super('lease-lost', message, { retryable: true });
  }
}

/** A passing fault of a service we call (throttled, time-out, 5xx): try again later. */
export class TransientError extends ControlPlaneError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('transient', message, { retryable: true, ...options });
  }
}

/** A safety rule said no. `rule` is the number in docs (S1..S9). */
export class SafetyRefusedError extends ControlPlaneError {
  readonly rule: string;

  constructor(rule: string, message: string) {
    super('safety-refused', message);
    this.rule = rule;
  }
}

export class NotFoundError extends ControlPlaneError {
  constructor(message: string) {
    super('not-found', message);
  }
}

/** What the caller sent is wrong. `problems` names every bad field, never only the first. */
export class InvalidRequestError extends ControlPlaneError {
  readonly problems: readonly FieldProblem[];

  constructor(message: string, problems: readonly FieldProblem[] = []) {
    super('invalid-request', message);
    this.problems = problems;
  }
}

export interface FieldProblem {
  /** Dotted path of the field, e.g. `spec.members`; empty for the document itself. */
  readonly field: string;
  readonly message: string;
}
