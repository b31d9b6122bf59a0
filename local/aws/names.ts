import { createHash } from 'node:crypto';

/** Hex digits that depend on the words only: names must be the same at every start of the same template. */
export function stableHex(length: number, ...words: string[]): string {
  return createHash('sha256').update(words.join('\0')).digest('hex').slice(0, length);
}

/** Ids such as API ids: lower-case letters and digits. */
export function stableId(length: number, ...words: string[]): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const digest = createHash('sha256').update(words.join('\0')).digest();
  return [...digest.subarray(0, length)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

/** A physical name as CloudFormation makes it: `<stack>-<logicalId>-<suffix>`, cut to `max` characters. */
export function physicalName(resource: { stack: string; logicalId: string }, max = 64): string {
  const suffix = stableHex(12, resource.stack, resource.logicalId);
  return `${`${resource.stack}-${resource.logicalId}`.slice(0, max - 13)}-${suffix}`;
}

/** Every call of the cloud is matched against every statement of its caller, and their patterns hardly ever change. */
const compiled = new Map<string, RegExp>();
const compiledAtMost = 10_000;

/** `*` and `?` as IAM and EventBridge mean them. */
export function wildcard(pattern: string, options: { question: boolean; ignoreCase?: boolean }): RegExp {
  const key = `${options.question} ${options.ignoreCase ?? false} ${pattern}`;
  const known = compiled.get(key);
  if (known) return known;
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, options.question ? '.' : '\\?');
  const expression = new RegExp(`^${source}$`, options.ignoreCase ? 'is' : 's');
  if (compiled.size >= compiledAtMost) compiled.clear();
  compiled.set(key, expression);
  return expression;
}
