import * as z from 'zod';
import { etcdIdSchema, etcdVersionSchema, isoTimeSchema, memberNameSchema } from './names.ts';

const born = {
  name: memberNameSchema,
  /** Availability Zone name, e.g. `us-east-1a`. */
  zone: z.string(),
  requestedAt: isoTimeSchema,
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
  z.strictObject({ state: z.literal('requested'), ...born }),
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
    etcdId: etcdIdSchema.optional(),
    leavingSince: isoTimeSchema,
    reason: z.string(),
  }),
]);

export type Member = z.infer<typeof memberSchema>;
export type MemberState = Member['state'];
export type MemberIn<S extends MemberState> = Extract<Member, { state: S }>;
