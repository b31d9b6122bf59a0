import * as z from 'zod';
import { etcdVersionSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from '../model/names.ts';

/**
 * Work that a nanny does in a task of its own, beside the cluster: it makes a scratch etcd of a backup (or of a kept
 * disk), replays what came after, and either compares (a drill) or saves the result as one snapshot that every member of
 * a new incarnation starts from. Asked for through `join`, told about through `work`, ended by `leave`.
 */

export const workSourceSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('full'),
    key: z.string(),
    sha256: z.string(),
    bytes: z.int(),
    /** Once restored, bump included. */
    revision: z.int(),
    /** The incarnation that it began counts from so much further on. */
    bumpRevision: z.int().min(1).optional(),
  }),
  /** The task's own volume holds the disk of a former member: opened by a scratch etcd, only to be saved (S6). */
  z.strictObject({ kind: z.literal('disk') }),
]);

export const workOrderSchema = z.strictObject({
  /** ULID. */
  orderId: z.string(),
  bucket: z.string(),
  etcdVersion: etcdVersionSchema,
  source: workSourceSchema,
  /** Where the segments that follow are (`deltaPrefix`): the worker lists them. Absent: the source alone. */
  deltas: z
    .strictObject({
      prefix: z.string(),
      /** Keys of segments that were found damaged: as if they were not there. */
      except: z.array(z.string()).optional(),
    })
    .optional(),
  /** Replayed up to here, included: the last revision, or the last one that was seen by then. @default to the end */
  until: z.strictObject({ revision: z.int().optional(), at: isoTimeSchema.optional() }).optional(),
  /** The scratch etcd is compacted there before it is hashed: two HashKVs compare only with the same one. */
  compactRevision: z.int().optional(),
  /**
   * The result is published under this key, if there is nothing under it. `above`: only if it reaches further than this
   * revision, which something else has reached already. Absent: a drill.
   */
  output: z.strictObject({ key: z.string(), above: z.int().optional() }).optional(),
});
export type WorkOrder = z.infer<typeof workOrderSchema>;

export const workPhases = ['downloading', 'restoring', 'replaying', 'checking', 'uploading'] as const;

export const workResultSchema = z.strictObject({
  /** Of the state that was made; before any bump. */
  revision: z.int(),
  keys: z.int(),
  /** HashKV at `revision`. */
  hash: z.int(),
  compactRevision: z.int(),
  /** Revisions that came from segments. */
  replayed: z.int(),
  /** When the last of them was seen by the nanny that shipped it. */
  lastSeenAt: isoTimeSchema.optional(),
  /** Leases that were granted anew, with their full time to live. */
  leases: z.int(),
  seconds: z.number(),
  /** What was published, when something was ordered and it reached far enough. */
  output: z.strictObject({ key: z.string(), sha256: z.string(), bytes: z.int() }).optional(),
});
export type WorkResult = z.infer<typeof workResultSchema>;

export const workProgressSchema = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('running'),
    phase: z.enum(workPhases),
    /** Of the phase; absent where there is nothing to count. */
    bytes: z.int().optional(),
    totalBytes: z.int().optional(),
  }),
  z.strictObject({ state: z.literal('done'), result: workResultSchema }),
  z.strictObject({
    state: z.literal('failed'),
    /**
     * `damaged`: an object is missing or is not what was stored (`key`); trying again is of no use. `gap`: the segments
     * do not follow each other. `unusable`: etcd does not take it. `passing`: S3 or the machine; another task may do.
     */
    code: z.enum(['damaged', 'gap', 'unusable', 'passing']),
    problem: z.string(),
    key: z.string().optional(),
  }),
]);
export type WorkProgress = z.infer<typeof workProgressSchema>;

/** POST work. Repeated until it is answered; `leave`: the task may end. */
export const workReportSchema = z.strictObject({
  tenantId: tenantIdSchema,
  memberName: memberNameSchema,
  orderId: z.string(),
  progress: workProgressSchema,
});
export type WorkReport = z.infer<typeof workReportSchema>;
export const workReportAnswerSchema = z.strictObject({ leave: z.boolean() });
export type WorkReportAnswer = z.infer<typeof workReportAnswerSchema>;

/**
 * POST storage: credentials for the tenant's own prefix of the bucket, an hour long (STS AssumeRole with a session
 * policy: IAM itself keeps tenants apart). A worker of a clone may read the source's prefix too.
 */
export const storageRequestSchema = z.strictObject({
  tenantId: tenantIdSchema,
  memberName: memberNameSchema,
});
export const storageAnswerSchema = z.strictObject({
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  sessionToken: z.string(),
  expiration: isoTimeSchema,
});
export type StorageAnswer = z.infer<typeof storageAnswerSchema>;
