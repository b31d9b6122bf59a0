import * as z from 'zod';
import { problemsOf } from '../issues.ts';

/** Why somebody does it, for the people who read the timeline. */
export const reasonBodySchema = z.strictObject({ reason: z.string().trim().min(1).max(200).optional() });

export type ReasonBody = z.infer<typeof reasonBodySchema>;

export const reasonBody = {
  schema: reasonBodySchema,
  optional: true,
  read(raw: unknown) {
    const parsed = reasonBodySchema.safeParse(raw);
    return parsed.success
      ? { value: parsed.data, problems: [] }
      : { value: {} as ReasonBody, problems: problemsOf(parsed.error) };
  },
};
