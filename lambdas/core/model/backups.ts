import * as z from 'zod';
import { backupReasons, proofSchema } from './backup.ts';
import { isoTimeSchema, memberNameSchema } from './names.ts';

/** What the record says of a tenant's backups. The catalogue itself is in items of its own (model/backup.ts). */

/** A full backup is asked for. What is asked for first stays; it is gone when one that was begun later is published. */
export const wantedBackupSchema = z.strictObject({
  reason: z.enum(backupReasons),
  since: isoTimeSchema,
  /** The operation that waits for it. */
  operationId: z.string().optional(),
});

/** One is being taken. Written before its nanny is told, so that after a crash the same one is followed. */
export const runningBackupSchema = z.strictObject({
  backupId: z.string(),
  key: z.string(),
  incarnation: z.int().min(1),
  member: memberNameSchema,
  reason: z.enum(backupReasons),
  operationId: z.string().optional(),
  startedAt: isoTimeSchema,
  /** Of the member that gives it, before it began; absent when that was not known. */
  authRevision: z.number().optional(),
});

/** The newest full backup. */
export const lastBackupSchema = z.strictObject({
  backupId: z.string(),
  incarnation: z.int().min(1),
  revision: z.int(),
  bytes: z.int(),
  reason: z.enum(backupReasons),
  startedAt: isoTimeSchema,
  contentAt: isoTimeSchema,
  endedAt: isoTimeSchema,
  /** Users, roles and rights are in it up to here at least. */
  authRevision: z.number().optional(),
});

/** Whose nanny ships the change stream. */
export const holderSchema = z.strictObject({
  member: memberNameSchema,
  incarnation: z.int().min(1),
  /** Id of the full backup that the unbroken stream begins behind. */
  chain: z.string(),
  since: isoTimeSchema,
  /** Everything up to here was in S3 when it was last asked, about two minutes ago. */
  shippedRevision: z.int(),
  upToDateAt: isoTimeSchema,
  /** When its nanny was asked last, by that nanny's clock. */
  askedAt: isoTimeSchema.optional(),
  /** Why it did not get on then. */
  problem: z.string().optional(),
  /** Holders that were changed for another one since the last segment: each is given longer than the one before. */
  inVain: z.int().optional(),
});

export const backupsSchema = z.strictObject({
  wanted: wantedBackupSchema.optional(),
  running: runningBackupSchema.optional(),
  last: lastBackupSchema.optional(),
  /** The backup that an operation waited for. */
  taken: z.strictObject({ operationId: z.string(), backupId: z.string() }).optional(),
  holder: holderSchema.optional(),
  /** The last drill that succeeded. */
  proof: proofSchema.extend({ backupId: z.string() }).optional(),
  /** The last drill found something wrong: stays until one succeeds. */
  doubt: z
    .strictObject({
      at: isoTimeSchema,
      backupId: z.string(),
      problem: z.string(),
      /** There was doubt before: what was to mend it has not. */
      again: z.boolean().optional(),
    })
    .optional(),
  /** A worker restores this one; what it has to come to is asked of a member beforehand. */
  drill: z
    .strictObject({
      worker: memberNameSchema,
      backupId: z.string(),
      revision: z.int(),
      hash: z.int(),
      witness: memberNameSchema,
      /** Who asked for it. */
      operationId: z.string().optional(),
    })
    .optional(),
  /** What it came to, for the operation that waits for it. */
  drillTold: z.strictObject({ operationId: z.string(), failed: z.boolean(), message: z.string() }).optional(),
  drilledAt: isoTimeSchema.optional(),
  /** The last drill came to nothing, for a passing reason. */
  retryDrill: z.boolean().optional(),
  prunedAt: isoTimeSchema.optional(),
  /** Why the next attempt waits. No other function waits for it. */
  trouble: z.strictObject({ failures: z.int().min(1), until: isoTimeSchema, reason: z.string() }).optional(),
});

export type Backups = z.infer<typeof backupsSchema>;
