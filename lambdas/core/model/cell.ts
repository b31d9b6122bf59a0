import * as z from 'zod';
import type { Cell } from '../ports.ts';

/** A cell as the stacks hand it to the functions (environment CELL and CELLS). */
export const cellSchema = z.strictObject({
  id: z.string().min(1),
  clusterArn: z.string().min(1),
  taskDefinitions: z.strictObject({ ebs: z.string().min(1), ephemeral: z.string().min(1) }),
  containerName: z.string().min(1),
  subnets: z.array(z.strictObject({ zone: z.string().min(1), subnetId: z.string().min(1) })).length(3),
  securityGroupId: z.string().min(1),
  infrastructureRoleArn: z.string().min(1),
  namespaceId: z.string().min(1),
  namespaceName: z.string().min(1),
  queues: z.strictObject({
    create: z.url(),
    delete: z.url(),
    sweep: z.url(),
    scale: z.url(),
    patch: z.url(),
    remediate: z.url(),
    backup: z.url(),
    restore: z.url(),
    alarms: z.url(),
  }),
  backupBucket: z.string().min(1),
  backupRoleArn: z.string().min(1),
}) satisfies z.ZodType<Cell>;
