import type * as z from 'zod';
import type { FieldProblem } from '../core/errors.ts';
import type { Caller } from './caller.ts';
import type { ApiDeps } from './deps.ts';
import type { Answer } from './idempotency.ts';

export interface Context {
  readonly deps: ApiDeps;
  readonly caller: Caller;
}

export interface BodyReader<B> {
  /** For the OpenAPI document. */
  readonly schema: z.ZodType;
  /** Whether a request without body means `{}`. */
  readonly optional?: boolean;
  /** Finds all problems. `value` is used only when there are none. */
  readonly read: (raw: unknown, deps: ApiDeps) => { value: B; problems: readonly FieldProblem[] };
}

/** One route: what it takes, what it answers, and the work. Everything the OpenAPI document says comes from here. */
export interface Endpoint<P = unknown, Q = unknown, B = unknown> {
  readonly method: 'get' | 'put' | 'patch' | 'post' | 'delete';
  /** With parameters in braces, e.g. `/v1/tenants/{tenantId}`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly params: z.ZodType<P>;
  readonly query: z.ZodType<Q>;
  readonly body?: BodyReader<B>;
  /** Success answers by status. */
  readonly answers: Readonly<Record<number, { description: string; schema: z.ZodType }>>;
  /** Statuses of the refusals that belong to this route, besides those that every route has. */
  readonly refusals: readonly number[];
  handle(input: { params: P; query: Q; body: B }, context: Context): Promise<Answer>;
}

/** Keeps the types of one endpoint together; the list of all endpoints forgets them. */
export function endpoint<P, Q, B = undefined>(definition: Endpoint<P, Q, B>): Endpoint {
  return definition as unknown as Endpoint;
}
