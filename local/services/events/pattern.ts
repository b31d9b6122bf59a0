import { wildcard } from '../../aws/names.ts';
import { inBlock } from '../../cloudformation/network.ts';

/**
 * Event patterns of EventBridge
 * (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html).
 */
export type Matcher = (event: unknown) => boolean;
type Leaf = (values: readonly unknown[]) => boolean;
type Json = Readonly<Record<string, unknown>>;

/** @throws Error that names the operator which this cloud does not know */
export function compilePattern(pattern: unknown): Matcher {
  if (!isObject(pattern) || Object.keys(pattern).length === 0)
    throw new Error('an event pattern must be a non-empty object');
  return compileObject(pattern);
}

function compileObject(pattern: Json): Matcher {
  const parts = Object.entries(pattern).map(([key, value]): Matcher => {
    if (key === '$or') {
      if (!Array.isArray(value) || value.length < 2)
        throw new Error('$or needs a list of at least two patterns');
      const alternatives = value.map(compilePattern);
      return (event) => alternatives.some((matches) => matches(event));
    }
    if (Array.isArray(value)) {
      const leaves = value.map(compileLeaf);
      return (event) => {
        const values = valuesAt(event, key);
        return leaves.some((leaf) => leaf(values));
      };
    }
    if (!isObject(value)) throw new Error(`the pattern of ${key} must be a list or an object`);
    const inner = compileObject(value);
    return (event) => {
      const child = isObject(event) ? event[key] : undefined;
      // An array of objects matches when one of them does.
      return Array.isArray(child) ? child.some(inner) : inner(child);
    };
  });
  return (event) => parts.every((matches) => matches(event));
}

/** A field that is a list matches when one of its elements does. */
function valuesAt(event: unknown, key: string): readonly unknown[] {
  if (!isObject(event) || !(key in event)) return [];
  const value = event[key];
  return Array.isArray(value) ? value.flat() : [value];
}

function compileLeaf(wanted: unknown): Leaf {
  if (!isObject(wanted)) {
    if (wanted !== null && !['string', 'number', 'boolean'].includes(typeof wanted))
      throw new Error(`${JSON.stringify(wanted)} is no value of an event pattern`);
    return (values) => values.some((value) => value === wanted);
  }
  const [[operator, argument] = ['', undefined], ...others] = Object.entries(wanted);
  if (others.length > 0) throw new Error(`${JSON.stringify(wanted)} must have exactly one operator`);
  if (operator === 'exists') {
    // Only leaves exist for EventBridge: an object below the key does not count.
    return (values) => values.some((value) => !isObject(value)) === Boolean(argument);
  }
  if (operator === 'anything-but') {
    const excluded = compileExclusion(argument);
    return (values) => values.length > 0 && values.every((value) => !excluded(value));
  }
  const test = compileTest(operator, argument);
  return (values) => values.some(test);
}

function compileExclusion(argument: unknown): (value: unknown) => boolean {
  if (isObject(argument)) {
    const [[operator, inner] = ['', undefined]] = Object.entries(argument);
    const tests = [inner].flat().map((item) => compileTest(operator, item));
    return (value) => tests.some((test) => test(value));
  }
  const excluded = [argument].flat();
  return (value) => excluded.includes(value);
}

function compileTest(operator: string, argument: unknown): (value: unknown) => boolean {
  const text = (test: (value: string) => boolean) => (value: unknown) =>
    typeof value === 'string' && test(value);
  switch (operator) {
    case 'prefix':
    case 'suffix': {
      const ignoreCase = isObject(argument);
      const raw = ignoreCase ? argument['equals-ignore-case'] : argument;
      if (typeof raw !== 'string') throw new Error(`${operator} needs a string`);
      const fold = (value: string): string => (ignoreCase ? value.toLowerCase() : value);
      const part = fold(raw);
      return text((value) =>
        operator === 'prefix' ? fold(value).startsWith(part) : fold(value).endsWith(part),
      );
    }
    case 'equals-ignore-case':
      return text((value) => value.toLowerCase() === String(argument).toLowerCase());
    case 'wildcard': {
      const pattern = wildcard(String(argument), { question: false });
      return text((value) => pattern.test(value));
    }
    case 'cidr':
      return text((value) => inBlock(value, String(argument)));
    case 'numeric':
      return compileNumeric(argument);
    default:
      throw new Error(`the local cloud does not know the event pattern operator ${JSON.stringify(operator)}`);
  }
}

function compileNumeric(argument: unknown): (value: unknown) => boolean {
  if (!Array.isArray(argument) || argument.length === 0 || argument.length % 2 !== 0)
    throw new Error('numeric needs pairs of comparison and number');
  const tests: ((value: number) => boolean)[] = [];
  for (let index = 0; index < argument.length; index += 2) {
    const [comparison, bound] = [argument[index], Number(argument[index + 1])];
    const test = comparisons[comparison];
    if (!test || Number.isNaN(bound)) throw new Error(`numeric does not know ${JSON.stringify(argument)}`);
    tests.push((value) => test(value, bound));
  }
  return (value) => typeof value === 'number' && tests.every((test) => test(value));
}

const comparisons: Record<string, (value: number, bound: number) => boolean> = {
  '=': (value, bound) => value === bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
};

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
