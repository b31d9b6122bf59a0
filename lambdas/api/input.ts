import type { HonoRequest } from 'hono';
import * as z from 'zod';
import { type FieldProblem, InvalidRequestError } from '../core/errors.ts';
import type { ApiDeps } from './deps.ts';
import type { BodyReader, Endpoint } from './endpoint.ts';
import { problemsOf } from './issues.ts';
import { ApiError } from './problem.ts';

/** Bytes. The largest honest request is a certificate request of a few KiB. */
export const maxBodyBytes = 65_536;

export const idempotencyKeySchema = z
  .string()
  .regex(/^[\x20-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters');

export interface ReadInput {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly idempotencyKey: string | undefined;
  /** The body's own text: part of what an Idempotency-Key stands for. */
  readonly bodyText: string;
}

/**
 * Reads path, query, header and body, and refuses with every problem of all of them at once.
 * @throws InvalidRequestError, or ApiError 413 and 415
 */
export async function readInput(request: HonoRequest, endpoint: Endpoint, deps: ApiDeps): Promise<ReadInput> {
  const problems: FieldProblem[] = [];
  const check = <T>(schema: z.ZodType<T>, value: unknown, prefix = ''): T | undefined => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    problems.push(...problemsOf(parsed.error, prefix));
    return undefined;
  };
  const params = check(endpoint.params, request.param());
  const query = check(endpoint.query, readQuery(request, problems));
  const isWrite = endpoint.method !== 'get';
  const key = isWrite ? request.header('idempotency-key') : undefined;
  const idempotencyKey =
    key === undefined ? undefined : check(idempotencyKeySchema, key, 'Idempotency-Key header');
  const bodyText = await readText(request);
  const body = endpoint.body ? readBody(request, endpoint.body, bodyText, deps, problems) : undefined;
  if (endpoint.body === undefined && bodyText !== '' && isWrite) {
    problems.push({ field: 'body', message: 'this request takes no body' });
  }
  if (problems.length > 0) {
    const count = problems.length === 1 ? 'One thing is' : `${problems.length} things are`;
    const all = problems.map(({ field, message }) => (field === '' ? message : `${field} ${message}`));
    throw new InvalidRequestError(`${count} wrong with this request: ${all.join('; ')}.`, problems);
  }
  return { params, query, body, idempotencyKey, bodyText };
}

function readQuery(request: HonoRequest, problems: FieldProblem[]): Record<string, string> {
  const entries = Object.entries(request.queries());
  for (const [name, values] of entries) {
    if (values.length > 1) problems.push({ field: name, message: 'is given more than once' });
  }
  return Object.fromEntries(entries.map(([name, values]) => [name, values[0]!]));
}

async function readText(request: HonoRequest): Promise<string> {
  const refuse = () =>
    new ApiError('payload-too-large', `The request body may have at most ${maxBodyBytes} bytes. Send less.`);
  if (Number(request.header('content-length') ?? 0) > maxBodyBytes) throw refuse();
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > maxBodyBytes) throw refuse();
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidRequestError('The request body is not UTF-8 text. Send JSON in UTF-8.', [
      { field: 'body', message: 'is not UTF-8' },
    ]);
  }
}

function readBody(
  request: HonoRequest,
  reader: BodyReader<unknown>,
  text: string,
  deps: ApiDeps,
  problems: FieldProblem[],
): unknown {
  if (text === '' && !reader.optional) {
    problems.push({ field: 'body', message: 'is missing: send a JSON document' });
    return undefined;
  }
  const type = request.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (text !== '' && type !== 'application/json') {
    const said = type === undefined ? 'no content type' : `content type "${type}"`;
    throw new ApiError(
      'unsupported-media-type',
      `The body came with ${said}. Send JSON with "Content-Type: application/json".`,
    );
  }
  const raw = text === '' ? {} : parseJson(text);
  const { value, problems: found } = reader.read(raw, deps);
  problems.push(...found);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidRequestError(`The request body is not JSON: ${(error as Error).message}.`, [
      { field: 'body', message: 'is not JSON' },
    ]);
  }
}
