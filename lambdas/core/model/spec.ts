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

/** What a tenant wants. Stored resolved: no defaults are applied when it is read back. */
export const tenantSpecSchema = z.strictObject({
  members: z.literal([...memberCounts]),
  version: etcdVersionSchema,
  size: z.enum(Object.keys(sizeClasses) as [SizeClass, ...SizeClass[]]),
  /** Disk of one member, GiB. Ephemeral storage of Fargate: 21..200; an EBS volume: 5..200. */
  storageGiB: z.int().min(5).max(200),
  /** `ebs`: a managed gp3 volume per task. `ephemeral`: the task's own disk, gone with the task. */
  volume: z.enum(['ebs', 'ephemeral']),
  /** etcd's quota-backend-bytes, MiB. etcd's own default is 2 GiB, its advised maximum 8 GiB. */
  quotaMiB: z.int().min(16).max(8192),
  /** etcd's auto compaction: hours of history kept by `periodic`; `off` for Kubernetes, which compacts itself. */
  autoCompaction: z.discriminatedUnion('mode', [
    z.strictObject({ mode: z.literal('off') }),
    z.strictObject({ mode: z.literal('periodic'), retentionMinutes: z.int().min(1).max(10080) }),
    z.strictObject({ mode: z.literal('revision'), retentionRevisions: z.int().min(100).max(1_000_000_000) }),
  ]),
  deletionProtection: z.boolean(),
});

export type TenantSpec = z.infer<typeof tenantSpecSchema>;
