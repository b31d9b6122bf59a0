import type * as z from 'zod';
import { ConflictError } from '../../core/errors.ts';
import type { Operation } from '../../core/model/operation.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { type Context, endpoint } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { dispatch, newOperation, record } from '../operations.ts';
import { giveUpPlace, placeTenant } from '../placement.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { type ReadSpec, requireFitting } from '../spec-input.ts';
import { documentOf } from '../tenant-access.ts';
import { readSpecBody, specBodySchema } from './spec-body.ts';
import { applySpec } from './spec-change.ts';

/**
 * The sweep may find a new tenant by itself only after this time: before it, the operation's own item may not have
 * been written yet.
 */
const firstCheckMs = 5_000;

export const putTenant = endpoint({
  method: 'put',
  path: '/v1/tenants/{tenantId}',
  operationId: 'putTenant',
  summary: 'Create a tenant, or say again what it should be',
  description:
    'A new tenant answers 202 with its `create` operation. The same request again answers 200 with the same operation. ' +
    'Fields that are left out take their defaults for a new tenant and stay as they are for an existing one; ' +
    'changed fields of an existing one do what PATCH does.',
  params: tenantParams,
  query: noQuery,
  body: { schema: specBodySchema, optional: true, read: readSpecBody },
  answers: {
    200: { description: 'The tenant is as asked for; nothing was changed', schema: tenantAnswerSchema },
    202: { description: 'Accepted', schema: tenantAnswerSchema },
  },
  refusals: [403, 409, 413, 415, 422],
  async handle({ params: { tenantId }, body }, context) {
    const existing = await context.deps.store.get(tenantId);
    if (existing) return applySpec(existing, body, context);
    return (await create(tenantId, body, context)) ?? applyToWinner(tenantId, body, context);
  },
});

/** Undefined when somebody else has created the tenant at the same moment. */
async function create(tenantId: string, wanted: ReadSpec, context: Context): Promise<Answer | undefined> {
  const { deps, caller } = context;
  await checkQuota(context);
  const spec = requireFitting(wanted.spec);
  const cell = await placeTenant(deps, tenantId, spec.members);
  const operation = newOperation(context, tenantId, 'create', 'Waiting to be taken up');
  const now = deps.clock.now();
  const number = await firstIncarnation(context, tenantId);
  const tenant: TenantRecord = {
    schemaVersion: 1,
    tenantId,
    cell: cell.id,
    owner: caller.arn,
    createdAt: now.toISOString(),
    recordVersion: 1,
    generation: 1,
    observedGeneration: 0,
    spec,
    status: {
      phase: 'creating',
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'Creating',
          message: 'The cluster is being created.',
          since: now.toISOString(),
        },
      ],
    },
    incarnation: { state: 'gathering', number, token: deps.ids.clusterToken() },
    firstIncarnation: number,
    members: {},
    operation: { operationId: operation.operationId, kind: 'create' },
    fence: 0,
    highestRevision: 0,
    nextCheckAt: new Date(now.getTime() + firstCheckMs).toISOString(),
  };
  try {
    await deps.store.create(tenant);
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    await giveUpPlace(deps, cell.id, tenantId, await deps.store.get(tenantId));
    return undefined;
  }
  await deps.store.putOperation(operation);
  await record(deps, operation, 'decided', createdText(tenant));
  await dispatch(deps, tenant, 'create');
  return answer(202, await documentOf(deps, tenant), operation);
}

/** A former tenant of this name may have left backups: other data never goes below the same incarnation's keys. */
export async function firstIncarnation({ deps }: Context, tenantId: string): Promise<number> {
  const former = await deps.store.listBackups(tenantId);
  return 1 + Math.max(0, ...former.map(({ incarnation }) => incarnation));
}

async function applyToWinner(tenantId: string, wanted: ReadSpec, context: Context): Promise<Answer> {
  const winner = await context.deps.store.get(tenantId);
  if (winner) return applySpec(winner, wanted, context);
  throw new ConflictError(`Tenant "${tenantId}" came and went while this request ran. Send it again.`);
}

/** @throws ApiError `quota-exceeded` */
export async function checkQuota({ deps }: Context): Promise<void> {
  const count = await deps.store.count();
  if (count < deps.maxTenants) return;
  throw new ApiError(
    'quota-exceeded',
    `This deployment has ${count} tenants and may have ${deps.maxTenants}. Delete one, or raise maxTenants in its configuration.`,
  );
}

const createdText = ({ spec }: TenantRecord): string =>
  `Creation asked for: ${spec.members} member(s), etcd ${spec.version}, size ${spec.size}, ` +
  `${spec.storageGiB} GiB ${spec.volume}, quota ${spec.quotaMiB} MiB`;

const answer = (
  status: 200 | 202,
  tenant: z.infer<typeof tenantAnswerSchema>['tenant'],
  operation: Operation,
) => ({
  status,
  body: { tenant, operation } satisfies z.infer<typeof tenantAnswerSchema>,
});
