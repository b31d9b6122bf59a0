import { wildcard } from '../aws/names.ts';
import type { Condition } from './document.ts';

export type ConditionContext = Readonly<Record<string, string | readonly string[] | undefined>>;

/** `undefined` when the condition holds or not is known; else why this cloud cannot tell. */
export interface ConditionResult {
  readonly holds: boolean;
  readonly unsupported?: string;
}

/**
 * Keys whose value is known for every call they can occur in: an absent value then truly means "not in the request".
 * A key that is neither here nor in the call's context cannot be decided and denies.
 */
const knownKeys =
  /^(aws:(principal(arn|account|type|tag\/.+|isawsservice)|source(arn|account|ip|vpc|vpce)|requestedregion|securetransport|userid|username|viaawsservice|requesttag\/.+|resourcetag\/.+|tagkeys)|iam:passedtoservice|iam:associatedresourcearn|kms:(encryptioncontext:.+|encryptioncontextkeys|viaservice)|ecs:(cluster|task-definition|createaction|resourcetag\/.+)|dynamodb:(leadingkeys|attributes|select)|servicediscovery:(namespacearn|namespacename|servicearn|servicename)|s3:(prefix|delimiter|resourceaccount)|cloudwatch:namespace|ec2:(createaction|resourcetag\/.+))$/;

/** Base operators; `Not...` ones are the negation over all values. */
const operators: Record<string, (actual: string, wanted: string) => boolean> = {
  StringEquals: (actual, wanted) => actual === wanted,
  StringEqualsIgnoreCase: (actual, wanted) => actual.toLowerCase() === wanted.toLowerCase(),
  StringLike: (actual, wanted) => wildcard(wanted, { question: true }).test(actual),
  ArnEquals: arnLike,
  ArnLike: arnLike,
  Bool: (actual, wanted) => actual.toLowerCase() === wanted.toLowerCase(),
  NumericEquals: (actual, wanted) => Number(actual) === Number(wanted),
  NumericLessThan: (actual, wanted) => Number(actual) < Number(wanted),
  NumericLessThanEquals: (actual, wanted) => Number(actual) <= Number(wanted),
  NumericGreaterThan: (actual, wanted) => Number(actual) > Number(wanted),
  NumericGreaterThanEquals: (actual, wanted) => Number(actual) >= Number(wanted),
};

const negations: Record<string, string> = {
  StringNotEquals: 'StringEquals',
  StringNotEqualsIgnoreCase: 'StringEqualsIgnoreCase',
  StringNotLike: 'StringLike',
  ArnNotEquals: 'ArnEquals',
  ArnNotLike: 'ArnLike',
  NumericNotEquals: 'NumericEquals',
};

export function evaluateCondition(condition: Condition, context: ConditionContext): ConditionResult {
  const key = condition.key.toLowerCase();
  const raw = Object.entries(context).find(([name]) => name.toLowerCase() === key)?.[1];
  if (raw === undefined && !knownKeys.test(key)) {
    return {
      holds: false,
      unsupported: `condition key ${condition.key} is not supported by the local cloud`,
    };
  }
  const actual = raw === undefined ? [] : typeof raw === 'string' ? [raw] : raw;
  const [, quantifier, named, ifExists] =
    /^(?:(ForAnyValue|ForAllValues):)?(\w+?)(IfExists)?$/.exec(condition.operator) ?? [];
  const base = named ?? condition.operator;

  if (base === 'Null') {
    return { holds: condition.values.every((value) => (value === 'true') === (raw === undefined)) };
  }
  const negated = negations[base];
  const test = operators[negated ?? base];
  if (!test) {
    return {
      holds: false,
      unsupported: `condition operator ${condition.operator} is not supported by the local cloud`,
    };
  }
  if (ifExists && raw === undefined) return { holds: true };
  const matches = (value: string): boolean => {
    const hit = condition.values.some((wanted) => test(value, wanted));
    return negated ? !hit : hit;
  };
  if (quantifier === 'ForAllValues') return { holds: actual.every(matches) };
  if (quantifier === 'ForAnyValue') return { holds: actual.some(matches) };
  // Without quantifier: an absent key fails a positive test and passes a negated one.
  return { holds: raw === undefined ? negated !== undefined : actual.some(matches) };
}

/** Each of the six parts of an ARN is compared by itself. */
function arnLike(actual: string, wanted: string): boolean {
  const split = (arn: string): string[] => {
    const parts = arn.split(':');
    return [...parts.slice(0, 5), parts.slice(5).join(':')];
  };
  const left = split(actual);
  return split(wanted).every((part, index) => wildcard(part, { question: true }).test(left[index] ?? ''));
}
