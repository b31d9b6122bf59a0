import * as z from 'zod';
import { workOrderSchema, workProgressSchema } from '../wire/work.ts';
import { backupsSchema } from './backups.ts';
import { conditionSchema } from './condition.ts';
import { keptDiskSchema } from './disk.ts';
import { duties } from './duties.ts';
import { memberSchema } from './member.ts';
import { etcdIdSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from './names.ts';
import { operationKinds } from './operation.ts';
import { pkiSchema } from './pki.ts';
import { pinSchema, restoreSchema, restoreSourceSchema } from './restore.ts';
import { sizingSchema } from './sizing.ts';
import { tenantSpecSchema } from './spec.ts';

/** One bootstrap of a cluster: a fresh random token (design §1). Never `new` again once `formed`. */
export const incarnationSchema = z.discriminatedUnion('state', [
  /** Members are being launched; nobody has been told to boot. */
  z.strictObject({
    state: z.literal('gathering'),
    number: z.int().min(1),
    token: z.string(),
    restore: restoreSourceSchema.optional(),
  }),
  /** All wanted members had joined: this fixed set was told to boot with state `new`. */
  z.strictObject({
    state: z.literal('booting'),
    number: z.int().min(1),
    token: z.string(),
    /** The same initial cluster for all: name → peer URL. */
    initialCluster: z.record(memberNameSchema, z.url()),
    bootedAt: isoTimeSchema,
    restore: restoreSourceSchema.optional(),
  }),
  /** A quorum has formed; clusterId is latched. */
  z.strictObject({
    state: z.literal('formed'),
    number: z.int().min(1),
    token: z.string(),
    clusterId: etcdIdSchema,
    initialCluster: z.record(memberNameSchema, z.url()),
    formedAt: isoTimeSchema,
  }),
]);

export type Incarnation = z.infer<typeof incarnationSchema>;

/** Phase and what only this phase has. */
export const statusSchema = z.discriminatedUnion('phase', [
  z.strictObject({ phase: z.literal('creating'), conditions: z.array(conditionSchema) }),
  z.strictObject({
    phase: z.literal('available'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
  }),
  z.strictObject({
    phase: z.literal('degraded'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
    reason: z.string(),
  }),
  /** An operation changes the members; the cluster serves. */
  z.strictObject({
    phase: z.literal('updating'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
  }),
  /** Quorum was lost: a new incarnation is being made. */
  z.strictObject({
    phase: z.literal('recovering'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
    reason: z.string(),
  }),
  /** Nothing runs: everything is in a snapshot, from which `wake` makes a new incarnation. The name stays. */
  z.strictObject({
    phase: z.literal('hibernated'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
    source: restoreSourceSchema,
  }),
  z.strictObject({
    phase: z.literal('deleting'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
  }),
  z.strictObject({
    phase: z.literal('failed'),
    conditions: z.array(conditionSchema),
    since: isoTimeSchema,
    reason: z.string(),
  }),
]);

export type TenantStatus = z.infer<typeof statusSchema>;
export type Phase = TenantStatus['phase'];

/** Who works on the tenant now. `fence` grows with every new holder and goes along to the nannies. */
export const leaseSchema = z.strictObject({
  holder: z.string(),
  fence: z.int().min(1),
  expiresAt: isoTimeSchema,
});

export type Lease = z.infer<typeof leaseSchema>;

/** Why the next attempt waits. Gone as soon as the operation gets past the hurdle. */
export const backoffSchema = z.strictObject({
  /** Whose attempt it was: another function need not wait. */
  duty: z.enum(duties),
  failures: z.int().min(1),
  until: isoTimeSchema,
  reason: z.string(),
  /** When the first of these failures was. Absent in records of before. */
  since: isoTimeSchema.optional(),
});

export type Backoff = z.infer<typeof backoffSchema>;

/** Named like a member, random and never reused; done or failed it stays until whoever ordered it has read the result. */
export const workSchema = z.strictObject({
  name: memberNameSchema,
  purpose: z.enum(['drill', 'restore']),
  /** Which operation ordered it; absent for a drill, which gives way to whatever an operation orders. */
  operationId: z.string().optional(),
  /** Tasks that have tried it, this one included. */
  attempt: z.int().min(1),
  order: workOrderSchema,
  zone: z.string(),
  requestedAt: isoTimeSchema,
  /** Its disk begins as a copy of a kept one. */
  snapshotId: z.string().optional(),
  taskArn: z.string().optional(),
  launchedAt: isoTimeSchema.optional(),
  /** Where it joined from, as ECS shows it. */
  ip: z.ipv4().optional(),
  /** The last it told, and when. */
  progress: workProgressSchema.optional(),
  toldAt: isoTimeSchema.optional(),
  /** Since when it has been in the phase that `progress` names. */
  phaseSince: isoTimeSchema.optional(),
});

export type Work = z.infer<typeof workSchema>;

export const tenantRecordSchema = z.strictObject({
  schemaVersion: z.literal(1),
  tenantId: tenantIdSchema,
  cell: z.string(),
  /** ARN of the account principal that created it. */
  owner: z.string(),
  createdAt: isoTimeSchema,
  /** Optimistic lock: every save is conditional on it and adds 1. */
  recordVersion: z.int().min(1),
  /** Grows with each change of spec. */
  generation: z.int().min(1),
  /** The generation that `status` speaks of. */
  observedGeneration: z.int().min(0),
  spec: tenantSpecSchema,
  status: statusSchema,
  incarnation: incarnationSchema,
  /** Lower ones were those of a deleted tenant of the same name, whose backups are kept. @default 1 */
  firstIncarnation: z.int().min(1).optional(),
  /** Mostly at most 7: five voters, a surge learner, one on its way out. More while the tasks of a zone that died are not confirmed STOPPED. */
  members: z.record(memberNameSchema, memberSchema),
  /** The operation that is being worked on; absent when there is none. */
  operation: z.strictObject({ operationId: z.string(), kind: z.enum(operationKinds) }).optional(),
  /**
   * Something is wrong and the control plane is repairing it: goes before `operation`, which resumes when this is gone.
   * `approved`: a person agreed to the recovery with the loss stated (policy `approve`).
   */
  remediation: z
    .strictObject({
      operationId: z.string(),
      kind: z.enum(['remediate', 'recover']),
      since: isoTimeSchema,
      reason: z.string(),
      approved: z.boolean().optional(),
      /** Since when no quorum was seen, as long as it lasts. */
      quorumLostSince: isoTimeSchema.optional(),
      /** What a recovery of this incarnation was decided on, and what it starts from once that is in S3. */
      recovery: z
        .strictObject({
          incarnation: z.int().min(1),
          /** Who gives its snapshot, under this key. Absent: nobody is left. */
          survivor: memberNameSchema.optional(),
          key: z.string().optional(),
          /** Without a survivor: what the lost members' disks hold. Each is looked at before one is chosen (S6). */
          disks: z.array(keptDiskSchema).min(1).optional(),
          /** Without a survivor: the newest backup and what follows it, where no disk is further. */
          pin: pinSchema.optional(),
          /** The lost majority still runs as far as ECS knows, so a person has to agree whatever the policy says. */
          mustBeApproved: z.boolean(),
          /** Nobody seems to be left, and of too many tenants of the cell at once (S8): a person may agree. */
          heldInStorm: z.boolean().optional(),
          source: restoreSourceSchema.optional(),
        })
        .optional(),
      /** Nothing could be started in this zone: members double up elsewhere (S4). */
      zoneOut: z.strictObject({ zone: z.string(), since: isoTimeSchema }).optional(),
      /** How far making room in the database has come. */
      space: z
        .strictObject({
          /** Revisions of history that the last compaction left. Absent: none was made. */
          kept: z.int().optional(),
          defragmented: z.array(memberNameSchema),
        })
        .optional(),
    })
    .optional(),
  /** S8 counts the tenant among the sick of its cell since then, until it is well and its repair is over. */
  sickSince: isoTimeSchema.optional(),
  /** Making room did not help at that time: tried again after a while, not at once. */
  spaceTriedAt: isoTimeSchema.optional(),
  /** An uneven spread was last tried to be mended then. */
  rebalanceTriedAt: isoTimeSchema.optional(),
  /** Tasks that no member owns, and since when they are seen: stopped after 10 minutes. */
  unowned: z.record(z.string(), isoTimeSchema).optional(),
  /** Automation is off: only what is under way between two calls ends. `nanny pause`, `nanny resume`. */
  paused: z.strictObject({ since: isoTimeSchema, by: z.string(), reason: z.string() }).optional(),
  /** Members that somebody wants replaced, with the reason. */
  replaceRequests: z.record(memberNameSchema, z.string()).optional(),
  /** Members may have left disks since then (EBS): the sweep removes them once the cluster is well. */
  leftDisks: isoTimeSchema.optional(),
  /** A restore in place, or the clone that made this tenant. */
  restore: restoreSchema.optional(),
  /** A hibernation under way: whose snapshot is the last one, under which key. */
  hibernation: z
    .strictObject({
      operationId: z.string(),
      incarnation: z.int().min(1),
      member: memberNameSchema,
      backupId: z.string(),
      key: z.string(),
      startedAt: isoTimeSchema,
      source: restoreSourceSchema.optional(),
    })
    .optional(),
  /** A task beside the cluster that makes something of a backup: no member, never in etcd's list. */
  work: workSchema.optional(),
  backups: backupsSchema.optional(),
  sizing: sizingSchema.optional(),
  backoff: backoffSchema.optional(),
  /** The last fence given out; a lease is the holder of the newest. */
  fence: z.int().min(0),
  lease: leaseSchema.optional(),
  pki: pkiSchema.optional(),
  /** Cloud Map service of the tenant. */
  nameServiceId: z.string().optional(),
  /** Highest etcd revision ever seen: a restore must go beyond it. */
  highestRevision: z.int().min(0),
  nextCheckAt: isoTimeSchema,
  /** Its alarms in CloudWatch were as they are to be at that time, for a record with that key (core/alarms.ts). */
  alarms: z.strictObject({ key: z.string(), at: isoTimeSchema }).optional(),
  /** The delayed "look at tenant X" that is under way, so that not every look sends another one. */
  recheck: z
    .strictObject({
      duty: z.enum(duties),
      at: isoTimeSchema,
    })
    .optional(),
  /** The same for a function that works beside the others. */
  recheckBeside: z.strictObject({ duty: z.enum(duties), at: isoTimeSchema }).optional(),
});

export type TenantRecord = z.infer<typeof tenantRecordSchema>;
