import * as z from 'zod';
import { ApiRefusal, type TenantApiClient } from '../adapters/tenant-api-client.ts';
import { operationSchema } from '../core/model/operation.ts';
import { tenantDocumentSchema } from '../core/tenant-document.ts';
import { type Ask, isNew, type Progress, type Seen } from './plan.ts';

/** Of the document only what the plan looks at, so that a newer control plane may say more than this knows. */
const tenantSchema = z
  .object(tenantDocumentSchema.shape)
  .pick({ phase: true, reason: true, createdAt: true })
  .extend({
    operation: z
      .object({ operationId: z.string(), kind: z.string(), state: z.string(), message: z.string() })
      .nullable(),
    remediation: z.object({ message: z.string() }).nullable(),
    spec: z.object({
      maintenanceWindow: z
        .object({ days: z.array(z.string()), start: z.string(), minutes: z.number() })
        .optional(),
    }),
  });

const operationsSchema = z.object({
  items: z.array(
    z.object(operationSchema.shape).pick({
      operationId: true,
      kind: true,
      state: true,
      message: true,
      requestedBy: true,
      createdAt: true,
    }),
  ),
});

/** One look at the tenant and, where the plan needs it, at what was done with it. */
export async function observe(ask: Ask, progress: Progress, api: TenantApiClient): Promise<Seen> {
  const tenantId = ask.kind === 'delete' ? ask.physicalId : ask.wish.tenantId;
  const base = `/v1/tenants/${tenantId}`;
  const found = await lookUp(api, base);
  if (found === undefined) return {};
  const tenant = tenantSchema.parse(found) as unknown as NonNullable<Seen['tenant']>;
  const needsCreator = isNew(ask) && !progress.created;
  const needsOperation = progress.operationId !== undefined && tenant.operation === null;
  if (!needsCreator && !needsOperation) return { tenant };
  const listed = await lookUp(api, `${base}/operations?limit=100`);
  const { items: operations } = operationsSchema.parse(listed ?? { items: [] });
  const tracked = operations.find(({ operationId }) => operationId === progress.operationId);
  // Operations of a former tenant of this name are still listed: its creation came earlier.
  const creation = operations.find(({ kind }) => kind === 'create');
  return {
    tenant,
    ...(creation ? { creator: creation.requestedBy } : {}),
    ...(tracked ? { tracked } : {}),
  };
}

async function lookUp(api: TenantApiClient, path: string): Promise<unknown> {
  try {
    return (await api.call({ method: 'GET', path })).body;
  } catch (error) {
    if (error instanceof ApiRefusal && error.code === 'not-found') return undefined;
    throw error;
  }
}
