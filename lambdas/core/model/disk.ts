import * as z from 'zod';
import { memberNameSchema } from './names.ts';
import { restoreSourceSchema } from './restore.ts';

/** What a worker found on the copy of one disk. */
export const diskFindingSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('usable'),
    /** How far it reaches, with what segments add to it. */
    revision: z.int(),
    keys: z.int(),
    /** Revisions that came from segments. */
    replayed: z.int(),
    /** Published. Absent: another disk had reached as far already. */
    source: restoreSourceSchema.optional(),
  }),
  z.strictObject({ kind: z.literal('useless'), problem: z.string() }),
]);

export type DiskFinding = z.infer<typeof diskFindingSchema>;

/** The disk of a lost member, as a source of recovery (S6). */
export const keptDiskSchema = z.strictObject({
  member: memberNameSchema,
  zone: z.string(),
  volumeId: z.string(),
  /** A whole copy of it: the disk itself is never opened. */
  snapshotId: z.string().optional(),
  /** What was shipped behind it cannot be read or leaves a gap: it counts for what is on it alone. */
  alone: z.boolean().optional(),
  found: diskFindingSchema.optional(),
});

export type KeptDisk = z.infer<typeof keptDiskSchema>;
