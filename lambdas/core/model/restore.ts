import * as z from 'zod';
import { madeOfSchema } from './backup.ts';
import { etcdVersionSchema, isoTimeSchema, tenantIdSchema } from './names.ts';

/** What a recovery, a restore or a wake starts from (S6). */
export const restoreSourceSchema = z.strictObject({
  kind: z.enum(['survivor', 'backup', 'disk']),
  /** Key in the backup bucket. */
  key: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  /** Revision of the data in it, read from the file itself. */
  revision: z.int(),
  /** Added to every revision, so that watchers notice (etcd recovery guide; HyperShift uses 1e9 too). */
  bumpRevision: z.int().min(1),
  /** Whose state it is. Absent on records of before: the incarnation that the key names. */
  madeOf: madeOfSchema.optional(),
});

export type RestoreSource = z.infer<typeof restoreSourceSchema>;

/** The state that is wanted back. */
export const restoreTargetSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('newest') }),
  z.strictObject({ kind: z.literal('revision'), revision: z.int().min(1) }),
  /** The last state that was seen by then. */
  z.strictObject({ kind: z.literal('time'), at: isoTimeSchema }),
]);

export type RestoreTarget = z.infer<typeof restoreTargetSchema>;

/** A target made fast: this full backup and these segments, whatever is written or cleared away meanwhile. */
export const pinSchema = z.strictObject({
  /** Whose backups. */
  from: tenantIdSchema,
  backupId: z.string(),
  /** Of the backup. */
  incarnation: z.int().min(1),
  key: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  /** Of the full backup alone. */
  revision: z.int(),
  /** It is what its incarnation began from, and is restored with this. */
  bumpRevision: z.int().min(1).optional(),
  etcdVersion: etcdVersionSchema,
  /** Where the segments are; absent: none is needed. */
  deltas: z.string().optional(),
  /** Keys of damaged segments among them. */
  except: z.array(z.string()).optional(),
  segments: z.int(),
  segmentBytes: z.int(),
  until: z.strictObject({ revision: z.int().optional(), at: isoTimeSchema.optional() }).optional(),
  /** What the result is expected to reach, as far as names tell: a time may fall into the middle of a segment. */
  expectedRevision: z.int(),
  /** What is younger than this may be missing. */
  contentAt: isoTimeSchema,
});

export type Pin = z.infer<typeof pinSchema>;

/** How far a restore or clone has come. Written by the API, gone when the next one begins. */
export const restoreSchema = z.strictObject({
  operationId: z.string(),
  target: restoreTargetSchema,
  pin: pinSchema,
  /** Of the tenant when it was asked for: another one means that the old cluster is gone. */
  incarnation: z.int().min(1),
  /** Highest revision known when it was asked for, and once more when the old members are stopped; a clone has none. */
  knownRevision: z.int(),
  requestedAt: isoTimeSchema,
  prepared: z
    .strictObject({
      at: isoTimeSchema,
      source: restoreSourceSchema,
      keys: z.int(),
      hash: z.int(),
      leases: z.int(),
      replayed: z.int(),
      /** When the youngest change in it was seen; absent when no segment was replayed. */
      lastSeenAt: isoTimeSchema.optional(),
      /** The worker's own. */
      seconds: z.number(),
    })
    .optional(),
  /** Why nothing comes of it; the cluster is as it was. */
  failed: z.string().optional(),
  /** The old members are being stopped since. */
  fencedAt: isoTimeSchema.optional(),
  /** The first member of the new cluster was wanted. */
  begunAt: isoTimeSchema.optional(),
});

export type Restore = z.infer<typeof restoreSchema>;

/** What a restore came to, on its operation. */
export const restoreReportSchema = z.strictObject({
  from: tenantIdSchema,
  backupId: z.string(),
  target: restoreTargetSchema,
  /** Of the restored state, as the old cluster counted. */
  revision: z.int(),
  /** Where the new cluster's revisions go on. */
  revisionNow: z.int(),
  keys: z.int(),
  leases: z.int(),
  /** Segments' revisions replayed behind the full backup. */
  replayed: z.int(),
  bytes: z.int(),
  /** Of the youngest change in it, where known. */
  lastSeenAt: isoTimeSchema.nullable(),
  /** Each part, and all of it. */
  seconds: z.strictObject({
    prepare: z.number(),
    fence: z.number(),
    boot: z.number(),
    total: z.number(),
  }),
  /** In place: what the cluster had beyond the restored state. */
  lost: z.strictObject({ revisions: z.int(), since: isoTimeSchema }).nullable(),
});

export type RestoreReport = z.infer<typeof restoreReportSchema>;
