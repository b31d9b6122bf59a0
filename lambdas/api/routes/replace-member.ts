import * as z from 'zod';
import { NotFoundError } from '../../core/errors.ts';
import { memberNameSchema, tenantIdSchema } from '../../core/model/names.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { endpoint } from '../endpoint.ts';
import { newOperation } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema } from '../schemas.ts';
import { announce, requireIdle, withOperation } from '../start-operation.ts';
import { changeTenant, documentOf } from '../tenant-access.ts';
import { reasonBody } from './reason-body.ts';

export const replaceMember = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/members/{member}/replace',
  operationId: 'replaceMember',
  summary: 'Replace one member',
  description:
    'A newcomer in the same zone is admitted before the member is taken out: redundancy never drops. A member that is ' +
    'not well needs no request: it is repaired by itself. Asking again for the same member answers the same operation.',
  params: z.strictObject({ tenantId: tenantIdSchema, member: memberNameSchema }),
  query: noQuery,
  body: reasonBody,
  answers: { 202: { description: 'Accepted', schema: tenantAnswerSchema } },
  refusals: [404, 409, 413, 415, 422],
  async handle({ params: { tenantId, member }, body }, context) {
    const { deps, caller } = context;
    const reason = body.reason ?? `${caller.arn} asked for it`;
    const text = `Replacement of ${member} asked for: ${reason}`;
    const operation = newOperation(context, tenantId, 'replace', text);
    const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
      if (newest.operation?.kind === 'replace' && newest.replaceRequests?.[member] !== undefined)
        return undefined;
      requireMember(newest, member);
      requireIdle(newest);
      requireVoting(newest, member);
      const replaceRequests = { ...newest.replaceRequests, [member]: reason };
      return { ...withOperation(newest, operation, deps.clock.now()), replaceRequests };
    });
    const current = changed ? operation : { ...operation, ...tenant.operation };
    const stored = await deps.store.getOperation(tenantId, current.operationId);
    if (stored === undefined) await announce(context, tenant, current);
    return { status: 202, body: { tenant: await documentOf(deps, tenant), operation: stored ?? current } };
  },
});

function requireMember(tenant: TenantRecord, name: string): void {
  if (tenant.members[name] !== undefined) return;
  const names = Object.keys(tenant.members).sort().join(', ');
  throw new NotFoundError(
    `Tenant "${tenant.tenantId}" has no member "${name}". Its members: ${names || 'none yet'}.`,
  );
}

function requireVoting(tenant: TenantRecord, name: string): void {
  const member = tenant.members[name]!;
  if (member.state === 'voting') return;
  throw new ApiError(
    'conflict',
    `Member ${name} is ${member.state}: only a voting member can be replaced. The control plane takes care of the others by itself.`,
  );
}
