import * as z from 'zod';
import { etcdVersionSchema } from './names.ts';

export const memberCounts = [1, 3, 5] as const;

/** Fargate cpu (1/1024 vCPU) and memory (MiB) of each size class: valid Fargate pairs. */
export const sizeClasses = {
  micro: { cpu: 256, memory: 512 },
  small: { cpu: 512, memory: 1024 },
  medium: { cpu: 1024, memory: 2048 },
  large: { cpu: 2048, memory: 4096 },
  xlarge: { cpu: 4096, memory: 8192 },
} as const;

export type SizeClass = keyof typeof sizeClasses;

/** The smallest first. */
export const sizesInOrder = Object.keys(sizeClasses) as [SizeClass, ...SizeClass[]];

export const sizeSchema = z.enum(sizesInOrder);

export const autoCompactionSchema = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('off') }),
  z.strictObject({ mode: z.literal('periodic'), retentionMinutes: z.int().min(1).max(10080) }),
  z.strictObject({ mode: z.literal('revision'), retentionRevisions: z.int().min(100).max(1_000_000_000) }),
]);

/** What a tenant wants. Stored resolved: no defaults are applied when it is read back. */
export const tenantSpecSchema = z.strictObject({
  members: z.literal([...memberCounts]),
  version: etcdVersionSchema,
  size: sizeSchema,
  /** Disk of one member, GiB. Ephemeral storage of Fargate: 21..200; an EBS volume: 5..200. */
  storageGiB: z.int().min(5).max(200),
  /** `ebs`: a managed gp3 volume per task. `ephemeral`: the task's own disk, gone with the task. */
  volume: z.enum(['ebs', 'ephemeral']),
  /** etcd's quota-backend-bytes, MiB. etcd's own default is 2 GiB, its advised maximum 8 GiB. */
  quotaMiB: z.int().min(16).max(8192),
  /** etcd's auto compaction: hours of history kept by `periodic`; `off` for Kubernetes, which compacts itself. */
  autoCompaction: autoCompactionSchema,
  deletionProtection: z.boolean(),
  /**
   * What happens when quorum is lost for good. `auto`: a new incarnation from the best source, by itself. `approve`: the
   * expected loss is written on the timeline and a person decides. @default auto (records of before the field existed)
   */
  recovery: z.enum(['auto', 'approve']).default('auto'),
  /** No quorum for this long before recovery starts; shorter when ECS confirms a majority STOPPED. */
  quorumLossConfirmSeconds: z.int().min(10).max(3600).default(60),
  /** A member that two sources call unreachable for this long is replaced. */
  unreachableSeconds: z.int().min(5).max(3600).default(20),
  /** How long a cluster of a zone that is out waits before it doubles up elsewhere (S4). */
  zoneOutageHoldMinutes: z.int().min(0).max(1440).default(30),
  /** Full backups each `intervalMinutes`, changes in between each few seconds, and how long every second stays restorable. */
  backup: z
    .strictObject({
      intervalMinutes: z.int().min(5).max(1440),
      /** Every revision and every second of this time can be restored; older, only what retention keeps. */
      pointInTimeHours: z.int().min(1).max(168),
      /** A real restore of the newest chain in a task of its own, compared with the live cluster. */
      drillHours: z.int().min(1).max(168),
    })
    .default({ intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 }),
  /** When patch, resize and defragmentation may start, UTC. Remediation ignores it. @default always */
  maintenanceWindow: z
    .strictObject({
      days: z
        .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
        .min(1)
        .max(7),
      start: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a UTC time such as 03:30'),
      minutes: z.int().min(30).max(1440),
    })
    .optional(),
  /** Size class follows the load, between these two (core/autoscale.ts). @default off: only a recommendation is shown */
  autoscale: z
    .strictObject({ min: sizeSchema, max: sizeSchema })
    .refine(({ min, max }) => sizesInOrder.indexOf(min) <= sizesInOrder.indexOf(max), {
      message: 'min must not be larger than max',
    })
    .optional(),
});

export type TenantSpec = z.infer<typeof tenantSpecSchema>;
