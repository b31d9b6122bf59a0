import * as z from 'zod';
import { jsonText } from '../core/json-text.ts';
import { cellSchema } from '../core/model/cell.ts';
import { etcdVersionSchema } from '../core/model/names.ts';

/** Environment of the api function. The CDK construct sets exactly these. */
export const envSchema = z.object({
  TABLE_NAME: z.string().min(1),
  KEY_ARN: z.string().min(1),
  CELLS: jsonText(z.array(cellSchema).min(1)),
  ETCD_VERSIONS: jsonText(
    z.strictObject({ default: etcdVersionSchema, offered: z.array(etcdVersionSchema).min(1) }),
  ),
  MAX_TENANTS: z.coerce.number().int().min(1),
  MAX_TENANTS_PER_CELL: z.coerce.number().int().min(1),
});

export type Env = z.infer<typeof envSchema>;
