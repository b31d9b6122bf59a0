import * as z from 'zod';
import { isoTimeSchema, tenantIdSchema } from './names.ts';

/** What is left of a deleted tenant until its backups are deleted too. */
export const graveSchema = z.strictObject({
  tenantId: tenantIdSchema,
  cell: z.string(),
  deletedAt: isoTimeSchema,
  /** When its backups go. */
  nextCheckAt: isoTimeSchema,
});

export type Grave = z.infer<typeof graveSchema>;
