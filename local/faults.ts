import { AwsError } from './aws/service.ts';

/** Which calls a rule is about; every field that is given must match. */
export interface CallMatch {
  /** Part of the function's name, case does not matter. */
  readonly function?: string;
  /** Part of the event (JSON) that the function works on meanwhile: a tenant's name, say. */
  readonly event?: string;
  /** Part of the ARN of the role or user. */
  readonly principal?: string;
  /** Signing name, e.g. `ecs`. */
  readonly service?: string;
  readonly operation?: string;
  /** Part of the ARN of what the call is about: a tenant's prefix in the bucket, `c1/acme/`, say. */
  readonly resource?: string;
  /** Only the nth call (from 1) that matches all other fields since the rule was made. */
  readonly nth?: number;
}

/**
 * `crash-before` ends the calling Lambda worker before the call is executed, `crash-after` when it has been executed
 * and before the answer is sent.
 */
export type FaultAction =
  | { readonly type: 'deny' }
  | { readonly type: 'throttle' }
  | { readonly type: 'delay'; readonly ms: number }
  /** The connection ends after so many bytes of the body that is sent, or of the answer when none is. */
  | { readonly type: 'cut'; readonly afterBytes: number }
  | { readonly type: 'crash-before' }
  | { readonly type: 'crash-after' };

export interface FaultRule {
  readonly match: CallMatch;
  readonly action: FaultAction;
  /** How often it strikes at most. @default without end; once with `match.nth` */
  readonly times?: number;
}

export interface CallIdentity {
  readonly principal: string;
  readonly function?: string;
  /** Request id of the function's invocation. */
  readonly invocation?: string;
  readonly service: string;
  readonly operation: string;
}

/** What `begin` is told: the event is matched, but not part of the record that people read. */
export interface CallBegun extends CallIdentity {
  /** What the function's invocation was given, as JSON. */
  readonly event?: string;
  readonly resource?: string;
}

export interface CallRecord extends CallIdentity {
  readonly seq: number;
  readonly at: string;
  outcome: 'running' | 'ok' | 'crashed' | (string & {});
  /** What a fault rule did to it. */
  fault?: FaultAction['type'];
}

/** What happens to every message, whoever sends it. */
export interface MessageFaults {
  readonly duplicate: boolean;
  /** On top of the message's own delay. */
  readonly delaySeconds: number;
  /**
   * Time lapse for tests: messages of a failed batch come back after this many seconds.
   * @default after the visibility timeout of their queue, as on AWS
   */
  readonly retryAfterSeconds?: number;
}

interface ActiveRule extends FaultRule {
  readonly id: number;
  seen: number;
  struck: number;
}

/** Records every AWS call and hurts those that a rule names. */
export class Faults {
  readonly #rules: ActiveRule[] = [];
  readonly #calls: CallRecord[] = [];
  readonly #events = new WeakMap<CallRecord, string>();
  #nextRule = 1;
  #nextCall = 1;
  messages: MessageFaults = { duplicate: false, delaySeconds: 0 };
  /** Names of EventBridge rules that tell nobody. */
  readonly silentRules = new Set<string>();
  /** Names of functions that take no messages, as when their event source mapping is disabled. */
  readonly heldFunctions = new Set<string>();

  /** Calls kept; older ones are forgotten. */
  static readonly keptCalls = 20_000;

  add(rule: FaultRule): number {
    const active = { ...rule, id: this.#nextRule++, seen: 0, struck: 0 };
    this.#rules.push(active);
    return active.id;
  }

  clear(): void {
    this.#rules.length = 0;
    this.messages = { duplicate: false, delaySeconds: 0 };
    this.silentRules.clear();
    this.heldFunctions.clear();
  }

  /** Takes back what is about one tenant alone. @returns how many rules */
  clearOf(tenant: string): number {
    const isOf = ({ match }: FaultRule) =>
      match.event === tenant || match.resource?.split('/').includes(tenant) === true;
    const kept = this.#rules.filter((rule) => !isOf(rule));
    return this.#rules.splice(0, this.#rules.length, ...kept).length - kept.length;
  }

  rules(): readonly (FaultRule & { readonly id: number; readonly struck: number })[] {
    return this.#rules;
  }

  /** In order of their begin. */
  calls(filter: { function?: string; event?: string; since?: number } = {}): CallRecord[] {
    return this.#calls.filter(
      (call) =>
        call.seq > (filter.since ?? 0) &&
        contains(call.function, filter.function) &&
        contains(this.#events.get(call), filter.event),
    );
  }

  /** Writes the call down and says what has to happen to it. */
  begin({ event, resource, ...identity }: CallBegun, at: Date): { record: CallRecord; action?: FaultAction } {
    const record: CallRecord = {
      ...identity,
      seq: this.#nextCall++,
      at: at.toISOString(),
      outcome: 'running',
    };
    this.#calls.push(record);
    if (event !== undefined) this.#events.set(record, event);
    if (this.#calls.length > Faults.keptCalls) this.#calls.shift();
    let action: FaultAction | undefined;
    for (const rule of this.#rules) {
      if (!matches(rule.match, { ...identity, event, resource })) continue;
      rule.seen += 1;
      const limit = rule.times ?? (rule.match.nth === undefined ? Number.POSITIVE_INFINITY : 1);
      if (action || rule.struck >= limit || rule.seen < (rule.match.nth ?? 1)) continue;
      rule.struck += 1;
      action = rule.action;
    }
    if (action) record.fault = action.type;
    return { record, action };
  }
}

function matches(match: CallMatch, call: CallBegun): boolean {
  return (
    contains(call.function, match.function) &&
    contains(call.event, match.event) &&
    contains(call.principal, match.principal) &&
    contains(call.resource, match.resource) &&
    (match.service === undefined || match.service === call.service) &&
    (match.operation === undefined || match.operation === call.operation)
  );
}

function contains(text: string | undefined, part: string | undefined): boolean {
  return part === undefined || (text?.toLowerCase().includes(part.toLowerCase()) ?? false);
}

/** The error that each service gives when it is called too often. */
export function throttlingError(service: string): AwsError {
  switch (service) {
    case 'dynamodb':
      return new AwsError(
        'ProvisionedThroughputExceededException',
        'The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.',
      );
    case 's3':
      return new AwsError('SlowDown', 'Please reduce your request rate.', 503);
    case 'sqs':
      return new AwsError('RequestThrottled', 'Request is throttled.', 403);
    case 'execute-api':
      return new AwsError('TooManyRequestsException', 'Too Many Requests', 429);
    case 'ec2':
      return new AwsError('RequestLimitExceeded', 'Request limit exceeded.', 503);
    case 'sts':
      return new AwsError('Throttling', 'Rate exceeded');
    case 'servicediscovery':
      return new AwsError('RequestLimitExceeded', 'Rate exceeded');
    default:
      return new AwsError('ThrottlingException', 'Rate exceeded');
  }
}
