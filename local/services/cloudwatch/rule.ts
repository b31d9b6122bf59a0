import { AwsError } from '../../aws/service.ts';
import { type State, states } from './model.ts';

/** A rule of a composite alarm, read. `names` are those of the alarms that it asks. */
export interface Rule {
  readonly names: readonly string[];
  holds(stateOf: (name: string) => State | undefined): boolean;
}

type Node = (stateOf: (name: string) => State | undefined) => boolean;

/** `ALARM("a") OR (OK("b") AND NOT ALARM(c))`. @throws AwsError for what is no such rule */
export function parseRule(text: string): Rule {
  const tokens = [...text.matchAll(/\s*(?:(\(|\))|"([^"]*)"|([^\s()"]+))/g)];
  const names: string[] = [];
  let at = 0;
  const bad = (): never => {
    throw new AwsError('ValidationError', `AlarmRule must not contain an invalid expression: ${text}`);
  };
  const word = (): string | undefined => tokens[at]?.[3];
  const take = (expected: string): void => {
    if ((tokens[at]?.[1] ?? tokens[at]?.[3]) !== expected) bad();
    at += 1;
  };
  const term = (): Node => {
    if (word() === 'NOT') {
      at += 1;
      const inner = term();
      return (stateOf) => !inner(stateOf);
    }
    if (tokens[at]?.[1] === '(') {
      at += 1;
      const inner = either();
      take(')');
      return inner;
    }
    const state = word();
    at += 1;
    if (state === 'TRUE' || state === 'FALSE') return () => state === 'TRUE';
    if (!states.some((known) => known === state)) bad();
    take('(');
    const name = nameOf(tokens[at]?.[2] ?? word() ?? bad());
    at += 1;
    take(')');
    names.push(name);
    return (stateOf) => stateOf(name) === state;
  };
  const both = (): Node => {
    let left = term();
    while (word() === 'AND') {
      at += 1;
      const [first, second] = [left, term()];
      left = (stateOf) => first(stateOf) && second(stateOf);
    }
    return left;
  };
  const either = (): Node => {
    let left = both();
    while (word() === 'OR') {
      at += 1;
      const [first, second] = [left, both()];
      left = (stateOf) => first(stateOf) || second(stateOf);
    }
    return left;
  };
  const holds = either();
  if (at !== tokens.length) bad();
  return { names: [...new Set(names)], holds };
}

/** An alarm is called by its name or by its ARN. */
const nameOf = (text: string): string => text.replace(/^arn:aws:cloudwatch:[^:]*:[^:]*:alarm:/, '');
