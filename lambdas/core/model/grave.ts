import * as z from 'zod';
import { isoTimeSchema, tenantIdSchema } from './names.ts';
import { tenantSpecSchema } from './spec.ts';

/** What is left of a deleted tenant until its backups are deleted too. */
export const graveSchema = z.strictObject({
  tenantId: tenantIdSchema,
  cell: z.string(),
  deletedAt: isoTimeSchema,
  /** What it was like, for whoever wants it back. Absent in graves of before. */
  spec: tenantSpecSchema.optional(),
  /** When its backups go. */
  nextCheckAt: isoTimeSchema,
});

export type Grave = z.infer<typeof graveSchema>;
