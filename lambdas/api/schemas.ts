import * as z from 'zod';
import { tenantIdSchema } from '../core/model/names.ts';
import { operationSchema, timelineEventSchema } from '../core/model/operation.ts';
import { rolloutSchema } from '../core/model/rollout.ts';
import { tenantDocumentSchema } from '../core/tenant-document.ts';

export const tenantParams = z.strictObject({ tenantId: tenantIdSchema });

export const noParams = z.strictObject({});

export const noQuery = z.strictObject({});

const limitText = 'must be a whole number from 1 to 100';

export const pageQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/, limitText)
    .transform(Number)
    .refine((limit) => limit <= 100, limitText)
    .default(50),
  /** From the previous page. */
  cursor: z.string().min(1, 'must not be empty: leave it out for the first page').max(1024).optional(),
});

export const pageOf = <S extends z.ZodType>(item: S) =>
  z.strictObject({
    items: z.array(item),
    /** For the next page; absent on the last one. */
    cursor: z.string().optional(),
  });

export const operationAnswerSchema = z.strictObject({ operation: operationSchema });
export const fleetPatchAnswerSchema = z.strictObject({ rollout: rolloutSchema });
export const tenantAnswerSchema = z.strictObject({
  tenant: tenantDocumentSchema,
  operation: operationSchema,
});
export const tenantPageSchema = pageOf(tenantDocumentSchema);
export const operationPageSchema = pageOf(operationSchema);
export const timelinePageSchema = pageOf(timelineEventSchema);

export const fleetSchema = z.strictObject({
  tenants: z.int(),
  maxTenants: z.int(),
  cells: z.array(
    z.strictObject({
      cell: z.string(),
      tenants: z.int(),
      /** Wanted by its tenants. */
      members: z.int(),
      maxTenantsPerCell: z.int(),
    }),
  ),
});

export const versionsSchema = z.strictObject({
  default: z.string(),
  /** Newest first. */
  offered: z.array(
    z.strictObject({
      version: z.string(),
      minor: z.string(),
      state: z.string(),
      /** Why it is not `supported`. */
      reason: z.string().nullable(),
    }),
  ),
  refused: z.array(z.strictObject({ version: z.string(), reason: z.string() })),
});

export const credentialsAnswerSchema = z.strictObject({
  user: z.string(),
  /** PEM. */
  certificate: z.string(),
  /** PEM. */
  caBundle: z.string(),
  /** PKCS#8 PEM, only when the request had no csr. Given out once, never stored. */
  privateKey: z.string().optional(),
  notAfter: z.string(),
});
