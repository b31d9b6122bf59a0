import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

/** etcd said no, or did not answer. `code` is one of those of the admin API (lambdas/core/wire/admin.ts). */
export class EtcdError extends ControlPlaneError {
  /** gRPC status code; undefined when the call never got an answer. */
  readonly grpcCode: number | undefined;

  constructor(
    code: string,
    message: string,
    options: { retryable: boolean; grpcCode?: number; cause?: unknown },
  ) {
    super(code, message, options);
    this.grpcCode = options.grpcCode;
  }
}

const deadlineExceeded = 4;
const unavailable = 14;

/** First match wins: the text of `learner-not-ready` begins with that of `not-learner`. */
const refusals: readonly { text: string; code: string; retryable: boolean; advice: string }[] = [
  {
    text: 'unhealthy cluster',
    code: 'unhealthy-cluster',
    retryable: true,
    advice: 'etcd changes its membership only while all members have been connected for 5 s: try again',
  },
  {
    text: 'in sync with leader',
    code: 'learner-not-ready',
    retryable: true,
    advice: 'the learner has not caught up yet: try again',
  },
  {
    text: 'can only promote a learner',
    code: 'not-learner',
    retryable: false,
    advice: 'the member votes already',
  },
  {
    text: 'too many learner',
    code: 'too-many-learners',
    retryable: false,
    advice: 'promote or remove the learner there is first',
  },
  {
    text: 'member not found',
    code: 'member-not-found',
    retryable: false,
    advice: 'read the member list again',
  },
  {
    text: 'Peer URLs already exists',
    code: 'peer-url-exists',
    retryable: false,
    advice: 'another member has this address: remove it first',
  },
  {
    // Ids are made of address and second: the same member added twice within a second.
    text: 'member ID already exist',
    code: 'peer-url-exists',
    retryable: false,
    advice: 'another member has this address: remove it first',
  },
  {
    text: 're-configuration failed',
    code: 'unhealthy-cluster',
    retryable: true,
    advice: 'not enough started members',
  },
  {
    text: 'required revision has been compacted',
    code: 'compacted',
    retryable: false,
    advice: 'ask for a newer revision',
  },
  {
    text: 'required revision is a future revision',
    code: 'future-revision',
    retryable: true,
    advice: 'this member has not got that far yet, or nobody has',
  },
  {
    text: 'downgrade job in progress',
    code: 'downgrade-running',
    retryable: false,
    advice: 'cancel it before another is enabled',
  },
  {
    text: 'no inflight downgrade',
    code: 'no-downgrade',
    retryable: false,
    advice: 'none is enabled',
  },
  {
    text: 'invalid downgrade target version',
    code: 'invalid-downgrade',
    retryable: false,
    advice: 'etcd goes down one minor version at a time, from the version all members have',
  },
  { text: 'not leader', code: 'not-leader', retryable: true, advice: 'ask the nanny of the leader' },
  {
    text: 'request timed out',
    code: 'timeout',
    retryable: true,
    advice: 'the cluster has no quorum or is slow',
  },
  { text: 'no leader', code: 'timeout', retryable: true, advice: 'the cluster has no leader at the moment' },
];

export function fromGrpcStatus(call: string, grpcCode: number, text: string): EtcdError {
  const known = refusals.find((refusal) => text.includes(refusal.text));
  if (known) {
    const { code, retryable, advice } = known;
    return new EtcdError(code, `etcd refused ${call}: ${text} (${advice})`, { retryable, grpcCode });
  }
  if (grpcCode === deadlineExceeded) return timedOut(call, grpcCode);
  if (grpcCode === unavailable) {
    return new EtcdError('etcd-down', `etcd cannot serve ${call} now: ${text}`, {
      retryable: true,
      grpcCode,
    });
  }
  return new EtcdError('etcd-refused', `etcd refused ${call}: ${text} (gRPC code ${grpcCode})`, {
    retryable: false,
    grpcCode,
  });
}

export function timedOut(call: string, grpcCode?: number): EtcdError {
  return new EtcdError(
    'timeout',
    `etcd did not answer ${call} in time; a change may have happened all the same`,
    { retryable: true, grpcCode },
  );
}

export function notReached(call: string, url: string, cause: unknown): EtcdError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new EtcdError('etcd-down', `etcd at ${url} cannot be reached for ${call}: ${why}`, {
    retryable: true,
    cause,
  });
}
