import { wildcard } from '../aws/names.ts';
import { type ConditionContext, evaluateCondition } from './conditions.ts';
import type { Statement } from './document.ts';

export interface AccessRequest {
  readonly action: string;
  readonly resource: string;
  readonly context: ConditionContext;
  /** For policies on resources: who asks, e.g. `AWS:<arn>` forms or `Service:events.amazonaws.com`. */
  readonly principals?: readonly string[];
}

export interface Decision {
  readonly effect: 'allow' | 'explicit-deny' | 'implicit-deny';
  /** Elements of the policies that this cloud could not decide; they never allow. */
  readonly unsupported: readonly string[];
  /** What the role allows is not allowed by the policy of the session. */
  readonly bySession?: boolean;
  /** Statements that allow it, whatever the effect is in the end. */
  readonly allowedBy?: readonly Statement[];
}

/** One set of policies (all identity policies of a principal, or the policy of one resource). */
export function evaluate(statements: readonly Statement[], request: AccessRequest): Decision {
  const unsupported = new Set<string>();
  const allowedBy: Statement[] = [];
  for (const statement of statements) {
    if (!matchesTarget(statement, request)) continue;
    const results = statement.conditions.map((condition) => evaluateCondition(condition, request.context));
    const unknown = results.flatMap((result) => result.unsupported ?? []);
    for (const reason of unknown) unsupported.add(reason);
    const others = results.every((result) => result.holds || result.unsupported !== undefined);
    if (statement.effect === 'Deny' && others)
      return { effect: 'explicit-deny', unsupported: [...unsupported] };
    if (statement.effect === 'Allow' && others && unknown.length === 0) allowedBy.push(statement);
  }
  const effect = allowedBy.length > 0 ? 'allow' : 'implicit-deny';
  return { effect, unsupported: [...unsupported], allowedBy };
}

function matchesTarget(statement: Statement, request: AccessRequest): boolean {
  const action = (pattern: string): boolean =>
    wildcard(pattern, { question: true, ignoreCase: true }).test(request.action);
  const resource = (pattern: string): boolean => wildcard(pattern, { question: true }).test(request.resource);
  if (statement.notActions.length ? statement.notActions.some(action) : !statement.actions.some(action)) {
    return false;
  }
  if (statement.notResources.length && statement.notResources.some(resource)) return false;
  if (statement.resources.length && !statement.resources.some(resource)) return false;
  if (!request.principals) return true;
  return statement.principals.some((name) => name === '*' || request.principals?.includes(name));
}
