import * as z from 'zod';
import { jsonText } from '../core/json-text.ts';
import { cellSchema } from '../core/model/cell.ts';

/**
 * Environment of the restore function. The CDK construct sets exactly these. Snapshots go from nanny to bucket and back:
 * it has no right to the bucket.
 */
export const envSchema = z.object({
  TABLE_NAME: z.string().min(1),
  KEY_ARN: z.string().min(1),
  CELL: jsonText(cellSchema),
  METRICS_NAMESPACE: z.string().min(1),
});

export type Env = z.infer<typeof envSchema>;
