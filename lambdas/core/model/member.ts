import * as z from 'zod';
import { etcdIdSchema, etcdVersionSchema, isoTimeSchema, memberNameSchema } from './names.ts';
import { autoCompactionSchema, type SizeClass, sizeClasses } from './spec.ts';

/** Fixed at launch but for `version`, which an in-place swap of binaries (minor downgrade) changes. */
export const madeSchema = z.strictObject({
  version: etcdVersionSchema,
  size: z.enum(Object.keys(sizeClasses) as [SizeClass, ...SizeClass[]]),
  storageGiB: z.int(),
  volume: z.enum(['ebs', 'ephemeral']),
  quotaMiB: z.int(),
  /** Absent: as the spec was before it could be changed. */
  autoCompaction: autoCompactionSchema.optional(),
  /** ARN with revision: the image. */
  taskDefinition: z.string(),
  /** When its binary was swapped in place: it is away for a moment, not sick. */
  swappedAt: isoTimeSchema.optional(),
});

export type Made = z.infer<typeof madeSchema>;

const born = {
  name: memberNameSchema,
  /** Availability Zone name, e.g. `us-east-1a`. */
  zone: z.string(),
  requestedAt: isoTimeSchema,
  /** What it was launched and booted as: a member that differs from the spec is outdated. */
  made: madeSchema.optional(),
};
const placed = { ...born, taskArn: z.string(), launchedAt: isoTimeSchema };
const known = { ...placed, ip: z.ipv4(), joinedAt: isoTimeSchema };

/** What the member's nanny (or the sweep) last said of it. Absent until the first report. */
const seen = {
  seen: z
    .strictObject({
      at: isoTimeSchema,
      healthy: z.boolean(),
      isLeader: z.boolean(),
      version: etcdVersionSchema.optional(),
      /** Why it is not healthy, for people. */
      problem: z.string().optional(),
      /** Since when it has been unhealthy without a break, as two sources agree. */
      sickSince: isoTimeSchema.optional(),
      /** Since when its disk has been slow, or it has lagged behind, while its peers were fine. */
      slowSince: isoTimeSchema.optional(),
      /** When its etcd last ended by itself: a later end is news, the same one is not. */
      lastExitAt: isoTimeSchema.optional(),
    })
    .optional(),
};
const inCluster = { ...known, ...seen, etcdId: etcdIdSchema };

/**
 * One member through its life (design §5). Fields exist only in the states that own them. `gone` is not stored:
 * the member leaves the map.
 */
export const memberSchema = z.discriminatedUnion('state', [
  /** Wanted, RunTask not yet confirmed. RunTask's clientToken is made of the name, so repeating it is harmless. */
  z.strictObject({
    state: z.literal('requested'),
    ...born,
    /** AWS refuses to start it: since when. */
    refusedSince: isoTimeSchema.optional(),
  }),
  z.strictObject({ state: z.literal('launching'), ...placed }),
  /** Its nanny has proven who it is; the IP is the one that both ECS and the connection showed. */
  z.strictObject({ state: z.literal('joined'), ...known, ...seen }),
  z.strictObject({ state: z.literal('learner'), ...inCluster }),
  z.strictObject({ state: z.literal('voting'), ...inCluster }),
  /** To be removed or already removed from etcd; its task still has to be stopped. */
  z.strictObject({
    state: z.literal('leaving'),
    ...born,
    taskArn: z.string().optional(),
    ip: z.ipv4().optional(),
    /** Set while it is still in etcd's member list; cleared by the step that removed it there. */
    etcdId: etcdIdSchema.optional(),
    /** etcd was perhaps asked to add it, and what has had no answer may yet be carried out: not forgotten before. */
    maybeAddedUntil: isoTimeSchema.optional(),
    leavingSince: isoTimeSchema,
    reason: z.string(),
  }),
]);

export type Member = z.infer<typeof memberSchema>;
export type MemberState = Member['state'];
export type MemberIn<S extends MemberState> = Extract<Member, { state: S }>;
