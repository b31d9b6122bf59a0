import * as z from 'zod';
import { jsonText } from '../core/json-text.ts';
import { cellSchema } from '../core/model/cell.ts';

/**
 * Environment of the remediate function. The CDK construct sets exactly these.
 *
 * Calls it makes: table GetItem, PutItem, Query (sick tenants) and Query on index/due (tenants of the cell); KMS decrypt
 * `purpose=control-plane`; RunTask, TagResource, PassRole, DescribeTasks, ListTasks, StopTask; Cloud Map list, register,
 * deregister; SendMessage to the look queues; the nannies' admin API (port 2378). Snapshots go from nanny to bucket; of S3 it only
 * lists names. Of EC2: DescribeVolumes, DescribeSnapshots, CreateSnapshot of kept disks.
 * Triggers: queue `remediate`. AWS Health events and alarm changes go to the queue `sweep`.
 */
export const envSchema = z.object({
  TABLE_NAME: z.string().min(1),
  KEY_ARN: z.string().min(1),
  CELL: jsonText(cellSchema),
  METRICS_NAMESPACE: z.string().min(1),
});

export type Env = z.infer<typeof envSchema>;
