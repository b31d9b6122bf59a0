import * as z from 'zod';
import { jsonText } from '../core/json-text.ts';
import { apiCellSchema } from '../core/model/cell.ts';
import { etcdVersionSchema } from '../core/model/names.ts';

/** Who says what a caller may touch: IAM, by the path, before the function is called; or a claim of a token, here. */
export const authoritySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('iam') }),
  z.strictObject({
    kind: z.literal('jwt'),
    /** Claim with the ids of tenants. */
    tenantsClaim: z.string().min(1),
    /** Scope of those who may touch everything. */
    adminScope: z.string().min(1),
  }),
]);
export type Authority = z.infer<typeof authoritySchema>;

/** Environment of the api function. The CDK construct sets exactly these. */
export const envSchema = z.object({
  TABLE_NAME: z.string().min(1),
  KEY_ARN: z.string().min(1),
  CELLS: jsonText(z.array(apiCellSchema).min(1)),
  ETCD_VERSIONS: jsonText(
    z.strictObject({ default: etcdVersionSchema, offered: z.array(etcdVersionSchema).min(1) }),
  ),
  MAX_TENANTS: z.coerce.number().int().min(1),
  AUTHORITY: jsonText(authoritySchema),
  MAX_TENANTS_PER_CELL: z.coerce.number().int().min(1),
});

export type Env = z.infer<typeof envSchema>;
