import * as z from 'zod';
import type { FieldProblem } from '../../core/errors.ts';
import type { ApiDeps } from '../deps.ts';
import { problemsOf } from '../issues.ts';
import { type ReadSpec, readSpec, specInputSchema } from '../spec-input.ts';

export const specBodySchema = z.strictObject({ spec: specInputSchema.optional() });

const outer = z.strictObject({ spec: z.unknown().optional() });

/** The spec is read by its own rules, so that problems inside and outside of it are told together. */
export function readSpecBody(
  raw: unknown,
  deps: Pick<ApiDeps, 'versions'>,
): { value: ReadSpec; problems: readonly FieldProblem[] } {
  const parsed = outer.safeParse(raw);
  const problems = parsed.success
    ? []
    : problemsOf(parsed.error).map((problem) =>
        problem.field === '' ? { field: 'body', message: problem.message } : problem,
      );
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  const value = readSpec(isObject ? (raw as { spec?: unknown }).spec : undefined, deps.versions);
  return { value, problems: [...problems, ...value.problems] };
}
