import * as z from 'zod';
import { isoTimeSchema, tenantIdSchema } from './names.ts';
import { restoreReportSchema } from './restore.ts';

/** `update`: spec changes that need no step (e.g. deletion protection). Later issues add scale, patch, restore ... */
export const operationKinds = [
  'create',
  'update',
  'delete',
  /** Members 1 ↔ 3 ↔ 5. */
  'scale',
  /** Size class, storage, quota: rolling surge replacement. */
  'resize',
  /** etcd version (patch, one minor up, one minor down) or image. */
  'patch',
  /** One member, because somebody asked. */
  'replace',
  /** Another certificate authority, in two halves with the grace of clients between them. */
  'rotate-ca',
  /** A full backup, because somebody asked. Scheduled ones are lines of the timeline. */
  'backup',
  /** A restore beside the cluster, compared with it, because somebody asked. */
  'drill',
  /** Started by the control plane itself. */
  'remediate',
  /** Quorum was lost: a new incarnation. */
  'recover',
  /** The cluster becomes what it was: a new incarnation from a backup. */
  'restore',
  /** Everything into a snapshot, then nothing runs. */
  'hibernate',
  'wake',
] as const;
export type OperationKind = (typeof operationKinds)[number];

export const operationStepSchema = z.strictObject({
  /** Step name, e.g. `launch-members`. */
  name: z.string(),
  detail: z.string(),
  startedAt: isoTimeSchema,
  endedAt: isoTimeSchema.optional(),
  outcome: z.enum(['running', 'done', 'failed', 'refused']),
});

export const operationSchema = z.strictObject({
  operationId: z.string(),
  tenantId: tenantIdSchema,
  kind: z.enum(operationKinds),
  state: z.enum(['pending', 'running', 'succeeded', 'failed']),
  /** Who asked: ARN of the caller. */
  requestedBy: z.string(),
  createdAt: isoTimeSchema,
  updatedAt: isoTimeSchema,
  endedAt: isoTimeSchema.optional(),
  /** What it waits for or why it failed, for people. */
  message: z.string(),
  steps: z.array(operationStepSchema).max(200),
  /** Of a restore or clone that has succeeded. */
  report: restoreReportSchema.optional(),
});

export type Operation = z.infer<typeof operationSchema>;
export type OperationStep = z.infer<typeof operationStepSchema>;

/** A line of the timeline: what was seen, decided, done, or refused and why. */
export const timelineEventSchema = z.strictObject({
  eventId: z.string(),
  tenantId: tenantIdSchema,
  at: isoTimeSchema,
  kind: z.enum(['seen', 'decided', 'done', 'refused']),
  message: z.string(),
  /** Safety rule that refused, `S1`..`S9`. */
  rule: z.string().optional(),
  operationId: z.string().optional(),
  member: z.string().optional(),
});

export type TimelineEvent = z.infer<typeof timelineEventSchema>;
