import * as z from 'zod';
import type { Cell } from '../ports.ts';
import { duties } from './duties.ts';

/** A cell as the stacks hand it to its functions (environment CELL). */
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

/**
 * What the api function needs of each cell (environment CELLS), in as few bytes as can be: Lambda gives a function 4 KB of
 * environment in all. Queues by name, in the order of `duties`; their URLs differ in nothing else.
 */
export const apiCellSchema = z
  .strictObject({
    id: z.string().min(1),
    taskDefinitions: cellSchema.shape.taskDefinitions,
    namespaceName: z.string().min(1),
    backupBucket: z.string().min(1),
    /** Everything before the name. */
    queueBase: z.url(),
    queueNames: z.array(z.string().min(1)).length(duties.length),
  })
  .transform(
    ({ queueBase, queueNames, ...cell }): ApiCell => ({
      ...cell,
      queues: Object.fromEntries(
        duties.map((duty, index) => [duty, `${queueBase}/${queueNames[index]}`]),
      ) as Cell['queues'],
    }),
  );

export type ApiCell = Pick<Cell, 'id' | 'taskDefinitions' | 'namespaceName' | 'backupBucket' | 'queues'>;
