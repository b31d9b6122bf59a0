import * as z from 'zod';
import { etcdIdSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from '../model/names.ts';

/**
 * The nanny's admin API: HTTPS on port 2378 with mTLS, JSON bodies.
 *
 * GET  /v1/status                               → NannyStatus
 * GET  /v1/members?linearizable=true            → { clusterId, members: MemberSeen[] } (no peer probes)
 * POST /v1/members/add-learner {peerUrl}        → { etcdId }
 * POST /v1/members/promote     {etcdId}         → {}
 * POST /v1/members/remove      {etcdId}         → {}
 * POST /v1/leadership          {toEtcdId}       → {}
 * POST /v1/compact             {revision}       → {}
 * POST /v1/defragment          {}               → {}
 * POST /v1/alarms/disarm       {}               → { disarmed: number }
 * POST /v1/hashkv              {revision}       → HashKvAnswer (changes nothing; no fence needed)
 * POST /v1/snapshot            SnapshotRequest  → SnapshotProgress (starts it, or tells how far it is; idempotent by key:
 *                                                 `done` stays, `failed` is told once and the next call starts it again;
 *                                                 503 `snapshot-running`, retryable, while one with another key runs)
 * POST /v1/downgrade           {action, version} → {} (also when it is enabled for this version, or cancelled, already)
 * POST /v1/swap                SwapRequest      → {} once the new process has been started (at once if it runs already);
 *                                                 409 `no-such-version` if the image lacks it, `etcd-ended`
 * POST /v1/renew     RenewOrder     → {} when the member's certificates and what its etcd trusts are as ordered: new ones
 *                                     from join, then a restart of etcd if it has read another bundle (at once if all is so);
 *                                     503 `not-as-ordered`, retryable, when join gave others
 *
 * POST /v1/backup    BackupOrder    → {} ship the change stream from `afterRevision` on, or stop shipping; kept over restarts
 *                                     of the nanny; the same again changes nothing; progress is in the status (`backup`)
 *
 * Every POST carries the header `x-fencing-token`: a lower token than the highest seen is refused (409 `fenced`).
 * Only the control plane's client certificate may POST (OU=control-plane); GET is open to nannies of the same tenant too.
 * Errors: { error: { code, message, retryable } }; codes of etcd's own refusals are kept: `unhealthy-cluster`,
 * `learner-not-ready`, `too-many-learners`, `member-not-found`, `not-leader`, `timeout`, `fenced`, `invalid-request`, `etcd-down`,
 * `compacted`, `future-revision`, `invalid-downgrade`, `downgrade-running`, `snapshot-running`.
 */

/** Maintenance.Status of one member. Revisions and indexes are safe as numbers up to 2^53. */
export const etcdStatusSchema = z.strictObject({
  etcdId: etcdIdSchema,
  clusterId: etcdIdSchema,
  version: z.string(),
  revision: z.number(),
  raftTerm: z.number(),
  raftIndex: z.number(),
  raftAppliedIndex: z.number(),
  /** '0' when there is none. */
  leader: etcdIdSchema,
  isLearner: z.boolean(),
  dbSize: z.number(),
  dbSizeInUse: z.number(),
  /** 3.6 and later. */
  dbSizeQuota: z.number().optional(),
  storageVersion: z.string().optional(),
  errors: z.array(z.string()),
});

export type EtcdStatus = z.infer<typeof etcdStatusSchema>;

/** A member of etcd's own list, and what this nanny saw of it when it asked it for its status. */
export const memberSeenSchema = z.strictObject({
  etcdId: etcdIdSchema,
  /** Empty until the member has started once. */
  name: z.string(),
  peerUrls: z.array(z.string()),
  clientUrls: z.array(z.string()),
  isLearner: z.boolean(),
  reachable: z.boolean(),
  roundTripMs: z.number().optional(),
  status: etcdStatusSchema.optional(),
  problem: z.string().optional(),
});

export type MemberSeen = z.infer<typeof memberSeenSchema>;

/**
 * `waiting`: join has not said boot. `starting`: process runs, not ready; or a snapshot is being restored. `learner`:
 * works, but does not vote yet: of the checks of /readyz only `non_learner` fails. `ready`: /readyz answers 200.
 * `not-ready`: process runs, was ready or a learner, and is not now. `backing-off`: exited, will be started again (or
 * the restore failed, will be tried again).
 * `data-lost`: will not be started again with this disk. `removed`: etcd left the cluster by itself (exit 0 after
 * removal). `stopped`: we were told to stop.
 */
export const etcdStates = [
  'waiting',
  'starting',
  'learner',
  'ready',
  'not-ready',
  'backing-off',
  'data-lost',
  'removed',
  'stopped',
] as const;
export type EtcdState = (typeof etcdStates)[number];

export const nannyStatusSchema = z.strictObject({
  at: isoTimeSchema,
  tenantId: tenantIdSchema,
  memberName: memberNameSchema,
  incarnation: z.int().min(0),
  etcd: z.strictObject({
    state: z.enum(etcdStates),
    /** Times etcd was started again since the nanny's own start. */
    restarts: z.int(),
    pid: z.int().optional(),
    lastExit: z
      .strictObject({
        at: isoTimeSchema,
        code: z.int().nullable(),
        signal: z.string().nullable(),
        reason: z.string(),
      })
      .optional(),
  }),
  /** Own member, when etcd answers. */
  self: etcdStatusSchema.optional(),
  alarms: z.array(z.strictObject({ etcdId: etcdIdSchema, alarm: z.enum(['NOSPACE', 'CORRUPT']) })),
  /** This nanny's view of all members; `linearizable` false when there is no quorum (the list may be old then). */
  view: z
    .strictObject({ clusterId: etcdIdSchema, linearizable: z.boolean(), members: z.array(memberSeenSchema) })
    .optional(),
  certificates: z
    .strictObject({
      notAfter: isoTimeSchema,
      /** SHA-256 (DER, hex) of the CA that signed the leaves in force. Absent: a nanny of before. */
      issuer: z.string().optional(),
      /** The same of every CA that etcd read at its last start: it trusts no other until the next. */
      trusted: z.array(z.string()).optional(),
    })
    .optional(),
  disk: z.strictObject({ totalBytes: z.number(), freeBytes: z.number() }).optional(),
  /**
   * From etcd's own metrics, over the time since the last look (about a second); where nothing was written in it, the
   * last value stands for 15 s. Absent until there are two looks.
   */
  latency: z
    .strictObject({
      /** 99th percentile, ms: etcd_disk_wal_fsync_duration_seconds, etcd_disk_backend_commit_duration_seconds. */
      fsyncP99Ms: z.number().optional(),
      commitP99Ms: z.number().optional(),
      /** Entries committed but not applied here. */
      applyLag: z.number(),
    })
    .optional(),
  /** Of nanny and etcd together, over the last minute at most. Absent until there are two looks. */
  load: z
    .strictObject({
      /** Cores in use, 1 is one whole core. */
      cpuCores: z.number(),
      memoryBytes: z.number(),
    })
    .optional(),
  /** Grows with each change of etcd's users, roles and rights (etcd_debugging_auth_revision). */
  authRevision: z.number().optional(),
  /**
   * Why the last linearizable read (one of the checks of /readyz, about each second) did not succeed; absent when it did,
   * and while etcd does not run.
   */
  readProblem: z.string().optional(),
  downgrade: z.strictObject({ enabled: z.boolean(), targetVersion: z.string() }).optional(),
  /** Shipping of the change stream, while this nanny is the backup holder. */
  backup: z
    .strictObject({
      /** As ordered: another chain means another order. */
      chain: z.string(),
      /** Everything up to here is in S3. */
      shippedRevision: z.int(),
      /** When S3 took the last segment, or when the holder last saw that there was nothing to ship. */
      upToDateAt: isoTimeSchema,
      /** Changes seen that are not in S3 yet. */
      pending: z.int(),
      /** Why shipping does not get on; it is tried again. */
      problem: z.string().optional(),
      /** The stream cannot be continued (compacted, or a gap): a new full backup has to begin a new chain. */
      broken: z.string().optional(),
    })
    .optional(),
});

export type NannyStatus = z.infer<typeof nannyStatusSchema>;

export const adminErrorSchema = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string(), retryable: z.boolean() }),
});
export const addLearnerSchema = z.strictObject({ peerUrl: z.url() });
export const memberIdSchema = z.strictObject({ etcdId: etcdIdSchema });
export const leadershipSchema = z.strictObject({ toEtcdId: etcdIdSchema });
export const compactSchema = z.strictObject({ revision: z.int().min(1) });
export const emptySchema = z.strictObject({});

export const hashKvSchema = z.strictObject({ revision: z.int().min(1) });
export const hashKvAnswerSchema = z.strictObject({
  hash: z.number(),
  hashRevision: z.number(),
  compactRevision: z.number(),
});
export type HashKvAnswer = z.infer<typeof hashKvAnswerSchema>;

export const snapshotSchema = z.strictObject({ bucket: z.string(), key: z.string() });
export type SnapshotRequest = z.infer<typeof snapshotSchema>;
export const snapshotProgressSchema = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('running'), bytes: z.int(), totalBytes: z.int().optional() }),
  /** Published in S3. The sha256 is of the whole object; the revision is read from the file itself. */
  z.strictObject({
    state: z.literal('done'),
    bytes: z.int(),
    sha256: z.string(),
    revision: z.int(),
    /** When the first bytes came: nothing in it is younger. Absent: a nanny of before. */
    contentAt: isoTimeSchema.optional(),
  }),
  z.strictObject({ state: z.literal('failed'), problem: z.string() }),
]);
export type SnapshotProgress = z.infer<typeof snapshotProgressSchema>;

export const backupOrderSchema = z.discriminatedUnion('ship', [
  z.strictObject({
    ship: z.literal(true),
    /** Id of the full backup that the chain begins with. */
    chain: z.string(),
    bucket: z.string(),
    /** Segments are published below it (`deltaPrefix`). */
    prefix: z.string(),
    /** The full backup's, or the last one that is surely in S3 when the holder changes. */
    afterRevision: z.int(),
  }),
  z.strictObject({ ship: z.literal(false) }),
]);
export type BackupOrder = z.infer<typeof backupOrderSchema>;

export const downgradeSchema = z.strictObject({
  action: z.enum(['validate', 'enable', 'cancel']),
  /** `major.minor.0` of the target. */
  version: z.string(),
});
/** Fingerprints as in the status. */
export const renewOrderSchema = z.strictObject({ issuer: z.string(), trusted: z.array(z.string()).min(1) });
export type RenewOrder = z.infer<typeof renewOrderSchema>;
export const swapSchema = z.strictObject({ etcdVersion: z.string(), etcdArguments: z.array(z.string()) });
export type SwapRequest = z.infer<typeof swapSchema>;
