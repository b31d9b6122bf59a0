import * as z from 'zod';
import { etcdVersionSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from '../model/names.ts';
import { nannyStatusSchema } from './admin.ts';
import { workOrderSchema } from './work.ts';

/**
 * What a nanny says to the join function and hears from it (private REST API, SigV4 from the task role).
 * POST join: "who am I, may I start?" · POST report: "this has changed" · POST renew: "new leaves, please" · POST storage:
 * "credentials for our prefix of the bucket, please" · POST work: "this far I am" (both in wire/work.ts).
 */

/** Leaves that a nanny holds. Each has its own key, which never leaves the task. */
export const nannyLeafRoles = ['peer', 'server', 'admin', 'client'] as const;
export type NannyLeafRole = (typeof nannyLeafRoles)[number];

const pem = z.string().max(4096);

/** PEM certificate requests by leaf role. The subject in them is ignored: the control plane decides it. */
export const csrsSchema = z.strictObject({ peer: pem, server: pem, admin: pem, client: pem });

const whoSchema = { tenantId: tenantIdSchema, memberName: memberNameSchema };

export const joinRequestSchema = z.strictObject({
  ...whoSchema,
  csrs: csrsSchema,
  /** Whether the member's disk holds etcd data already: a nanny that was restarted. */
  hasData: z.boolean(),
});

export const reportRequestSchema = z.strictObject({ ...whoSchema, status: nannyStatusSchema });

export const renewRequestSchema = z.strictObject({ ...whoSchema, csrs: csrsSchema });

export const issuedCertificatesSchema = z.strictObject({
  caBundle: z.string(),
  peer: z.string(),
  server: z.string(),
  admin: z.string(),
  client: z.string(),
  notAfter: isoTimeSchema,
});

export type IssuedCertificates = z.infer<typeof issuedCertificatesSchema>;

/** What `etcdutl snapshot restore` makes a member's first data of. */
export const restoreOrderSchema = z.strictObject({
  bucket: z.string(),
  key: z.string(),
  /** Of the whole object. */
  sha256: z.string(),
  bumpRevision: z.int(),
  initialCluster: z.string(),
  initialAdvertisePeerUrl: z.url(),
  token: z.string(),
});

export type RestoreOrder = z.infer<typeof restoreOrderSchema>;

export const joinAnswerSchema = z.discriminatedUnion('answer', [
  /** Ask again after `retryAfterMs`. */
  z.strictObject({ answer: z.literal('wait'), reason: z.string(), retryAfterMs: z.int() }),
  z.strictObject({
    answer: z.literal('boot'),
    /**
     * `new`: first bootstrap, all members get the same initial cluster. `existing`: a learner joins.
     * `restore`: first bootstrap of a new incarnation from `restore`: every member restores the same file with the same
     * initial cluster, token, revision bump and mark-compacted, then starts as `resume` would.
     * `resume`: the disk must hold this member's data already; start it as it is, or report data loss.
     */
    mode: z.enum(['new', 'existing', 'resume', 'restore']),
    incarnation: z.int(),
    etcdVersion: etcdVersionSchema,
    /**
     * The whole command line of etcd without the program. `{{data}}` stands for the data directory of this member,
     * `{{pki}}` for the directory with ca.pem, peer.pem, peer-key.pem, server.pem, server-key.pem.
     */
    etcdArguments: z.array(z.string()),
    certificates: issuedCertificatesSchema,
    /** With mode `restore` only. */
    restore: restoreOrderSchema.optional(),
  }),
  /** To a worker: a task beside the cluster. The server leaf carries its address, the client leaf CN `root`. */
  z.strictObject({
    answer: z.literal('work'),
    order: workOrderSchema,
    certificates: issuedCertificatesSchema,
  }),
  /** This member is not wanted (any more): stop, do not ask again, exit 0. */
  z.strictObject({ answer: z.literal('leave'), reason: z.string() }),
]);

export type JoinRequest = z.infer<typeof joinRequestSchema>;
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;
export type ReportRequest = z.infer<typeof reportRequestSchema>;
export type RenewRequest = z.infer<typeof renewRequestSchema>;

export const reportAnswerSchema = z.strictObject({ leave: z.boolean(), reason: z.string().optional() });
export type ReportAnswer = z.infer<typeof reportAnswerSchema>;
