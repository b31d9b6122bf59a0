import type * as z from 'zod';
import type { FieldProblem } from '../core/errors.ts';

const article = (noun: string): string => (/^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`);
const nouns: Readonly<Record<string, string>> = { int: 'whole number', record: 'object' };
const listed = (values: readonly unknown[]): string => {
  const words = values.map(String);
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
};

/** Words for zod's issues, unless the schema has its own. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (!/^(Invalid|Too) /.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && /undefined/.test(issue.message)) return 'is missing';
      return `must be ${article(nouns[issue.expected] ?? issue.expected)}`;
    case 'invalid_value':
      return issue.values.length === 1
        ? `must be ${String(issue.values[0])}`
        : `must be ${listed(issue.values)}`;
    case 'too_small':
      return issue.origin === 'string'
        ? `must have at least ${issue.minimum} character(s)`
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `must have at most ${issue.maximum} characters`
        : `must be at most ${issue.maximum}`;
    case 'invalid_union':
      return 'has none of the forms that are known';
    default:
      return issue.message;
  }
}

/** Every issue as a field problem; each unknown field has one of its own. */
export function problemsOf(error: z.ZodError, prefix = ''): FieldProblem[] {
  return error.issues.flatMap((issue): FieldProblem[] => {
    const path = [prefix, ...issue.path.map(String)].filter((part) => part !== '').join('.');
    if (issue.code !== 'unrecognized_keys') return [{ field: path, message: messageOf(issue) }];
    return issue.keys.map((key) => ({
      field: path === '' ? key : `${path}.${key}`,
      message: 'is not a known field: check its spelling or leave it out',
    }));
  });
}
