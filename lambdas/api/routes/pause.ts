import { dutyOf } from '../../core/duty.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { type Context, endpoint } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { dispatch, ended, newOperation, record } from '../operations.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { dueNow, refuseWhileDeleting } from '../start-operation.ts';
import { changeTenant, documentOf } from '../tenant-access.ts';
import { reasonBody } from './reason-body.ts';

const common = {
  method: 'post',
  params: tenantParams,
  query: noQuery,
  answers: {
    200: { description: 'It was like that already', schema: tenantAnswerSchema },
    202: { description: 'Done', schema: tenantAnswerSchema },
  },
  refusals: [404, 409, 413, 415, 422],
} as const;

export const pauseTenant = endpoint({
  ...common,
  path: '/v1/tenants/{tenantId}/pause',
  operationId: 'pauseTenant',
  summary: 'Switch automation off',
  description:
    'No step is taken any more, repairs included, until resumed; what is under way between two calls ends. etcd and its ' +
    'nannies go on serving, and conditions stay true. Deleting works.',
  body: reasonBody,
  async handle({ params: { tenantId }, body }, context) {
    const { arn } = context.caller;
    const reason = body.reason ?? 'no reason given';
    const since = context.deps.clock.now().toISOString();
    return switchAutomation(context, tenantId, `Automation paused by ${arn}: ${reason}`, (tenant) =>
      tenant.paused === undefined ? { ...tenant, paused: { since, by: arn, reason } } : undefined,
    );
  },
});

export const resumeTenant = endpoint({
  ...common,
  path: '/v1/tenants/{tenantId}/resume',
  operationId: 'resumeTenant',
  summary: 'Switch automation on again',
  body: undefined,
  async handle({ params: { tenantId } }, context) {
    const { arn } = context.caller;
    const now = context.deps.clock.now();
    return switchAutomation(context, tenantId, `Automation resumed by ${arn}`, ({ paused, ...tenant }) =>
      paused === undefined ? undefined : dueNow(tenant, now),
    );
  },
});

async function switchAutomation(
  context: Context,
  tenantId: string,
  text: string,
  change: (tenant: TenantRecord) => TenantRecord | undefined,
): Promise<Answer> {
  const { deps } = context;
  const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
    refuseWhileDeleting(newest);
    return change(newest);
  });
  const message = changed ? text : 'It was like that already';
  const operation = ended(
    newOperation(context, tenantId, 'update', ''),
    'succeeded',
    message,
    deps.clock.now(),
  );
  if (changed) {
    await deps.store.putOperation(operation);
    await record(deps, operation, 'done', message);
    await dispatch(deps, tenant, dutyOf(tenant));
  }
  return { status: changed ? 202 : 200, body: { tenant: await documentOf(deps, tenant), operation } };
}
