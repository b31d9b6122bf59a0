import * as z from 'zod';

// biome-ignore lint/suspicious/noExplicitAny: JSON Schema as zod writes it
type Json = any;

export interface LargestOptions {
  /** Length of text that the schema does not bound. */
  readonly text: number;
  /** Entries of a map, elements of a list that the schema does not bound. */
  readonly entries: number;
}

/** A value that the schema takes, with every optional field there and everything as long as it may be. */
export function largest(schema: z.ZodType, options: LargestOptions): unknown {
  return build(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json, options, 0);
}

function build(schema: Json, options: LargestOptions, index: number): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum.toSorted((a: unknown, b: unknown) => size(b) - size(a))[0];
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice)
    return choice
      .map((each: Json) => build(each, options, index))
      .sort((a: unknown, b: unknown) => size(b) - size(a))[0];
  switch (schema.type) {
    case 'string':
      return text(schema, options, index);
    case 'integer':
      return Math.min(schema.maximum ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 'number':
      return 1234567.890123;
    case 'boolean':
      return true;
    case 'array':
      return Array.from({ length: schema.maxItems ?? options.entries }, (_, at) =>
        build(schema.items, options, at),
      );
    case 'object':
      return object(schema, options);
    default:
      return 'x';
  }
}

function object(schema: Json, options: LargestOptions): unknown {
  const fixed = Object.entries<Json>(schema.properties ?? {}).map(([key, value]) => [
    key,
    build(value, options, 0),
  ]);
  const more = typeof schema.additionalProperties === 'object' && schema.additionalProperties;
  const free = more
    ? Array.from({ length: options.entries }, (_, at) => [
        schema.propertyNames ? build(schema.propertyNames, options, at) : `k${'x'.repeat(150)}${at}`,
        build(more, options, at),
      ])
    : [];
  return Object.fromEntries([...fixed, ...free]);
}

const samples: readonly string[] = [
  '2026-11-22T10:00:00.123Z',
  '100.100.100.100',
  '255.255.255.255',
  'https://100.100.100.100:2380',
  '10.100.1000',
  '03:30',
  `a${'b'.repeat(38)}`,
  'f'.repeat(16),
];

/** As long as it may be; a pattern that none of the samples fits fails, so that it is added here. */
function text(schema: Json, options: LargestOptions, index: number): string {
  if (schema.pattern === undefined && schema.format === undefined)
    return 'x'.repeat(Math.min(schema.maxLength ?? options.text, options.text));
  if (schema.format === 'uri') return `https://100.100.100.100:2380`;
  const pattern = new RegExp(schema.pattern);
  const name = `m${String(index).padStart(8, 'a')}`;
  const found = [name, ...samples]
    .filter((sample) => pattern.test(sample))
    .sort((a, b) => b.length - a.length);
  if (found[0] === undefined) throw new Error(`No sample fits ${schema.pattern}: add one.`);
  return found[0];
}

const size = (value: unknown): number => (JSON.stringify(value) ?? '').length;

/** Bytes of an item as DynamoDB counts them: names and values in UTF-8, numbers by digits, 3 for a list or map and 1 an element. */
export function itemBytes(value: unknown): number {
  if (value === null || typeof value === 'boolean') return 1;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') return Math.ceil(String(value).replace(/\D/g, '').length / 2) + 2;
  if (Array.isArray(value)) return 3 + value.reduce((sum, each) => sum + 1 + itemBytes(each), 0);
  return Object.entries(value as object).reduce(
    (sum, [key, each]) => (each === undefined ? sum : sum + 1 + Buffer.byteLength(key) + itemBytes(each)),
    3,
  );
}
