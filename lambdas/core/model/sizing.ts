import * as z from 'zod';
import { isoTimeSchema } from './names.ts';
import { sizeSchema } from './spec.ts';

/** What the load asks for (core/autoscale.ts). */
export const sizingSchema = z.strictObject({
  /** When CloudWatch was last asked. */
  at: isoTimeSchema,
  /** Absent: too little is known. */
  recommended: sizeSchema.optional(),
  reason: z.string(),
  /** Size that members had then, and since when. */
  size: sizeSchema,
  since: isoTimeSchema,
  /** When autoscale last changed the size. */
  changedAt: isoTimeSchema.optional(),
  /** Why autoscale does not follow the advice now; absent when it does, or is off. */
  held: z.string().optional(),
});

export type Sizing = z.infer<typeof sizingSchema>;
