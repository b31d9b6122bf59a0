import * as z from 'zod';
import type { Rollover } from '../../core/model/pki.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { endpoint } from '../endpoint.ts';
import { problemsOf } from '../issues.ts';
import { newOperation } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { announce, requireIdle, withOperation } from '../start-operation.ts';
import { changeTenant, documentOf } from '../tenant-access.ts';

export const rotateCaBodySchema = z.strictObject({
  /** Do not wait for the certificates that clients have: for a CA whose key may be known to others. */
  retireOldNow: z.boolean().default(false),
  reason: z.string().trim().min(1).max(200).optional(),
});

type Body = z.infer<typeof rotateCaBodySchema>;

const body = {
  schema: rotateCaBodySchema,
  optional: true,
  read(raw: unknown) {
    const parsed = rotateCaBodySchema.safeParse(raw ?? {});
    return parsed.success
      ? { value: parsed.data, problems: [] }
      : { value: { retireOldNow: false } as Body, problems: problemsOf(parsed.error) };
  },
};

export const rotateCa = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/ca/rotate',
  operationId: 'rotateCertificateAuthority',
  summary: 'Replace the certificate authority',
  description:
    'Comes by itself at two thirds of its life. Every member learns to trust the new one, etcd restarted in place one at a ' +
    'time (in the maintenance window, twice in all); then client certificates are of it, with both in their caBundle; when ' +
    'the last client certificate of the old one has ended, the old one is taken out. With `retireOldNow` nothing is waited ' +
    'for, neither clients nor the window: within a minute or two every client certificate issued before is refused, and ' +
    'a client that does not fetch new credentials and the new caBundle is locked out. Asked for in the grace of clients, ' +
    'it ends the grace.',
  params: tenantParams,
  query: noQuery,
  body,
  answers: { 202: { description: 'Accepted', schema: tenantAnswerSchema } },
  refusals: [404, 409, 413, 415, 422],
  async handle({ params: { tenantId }, body: { retireOldNow, reason: given } }, context) {
    const { deps, caller } = context;
    const reason = given ?? `${caller.arn} asked for it`;
    const what = retireOldNow
      ? 'Replacement of the certificate authority at once'
      : 'Another certificate authority';
    const operation = newOperation(context, tenantId, 'rotate-ca', `${what} asked for: ${reason}`);
    const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
      const rollover = newest.pki?.rollover;
      const rotating = newest.operation?.kind === 'rotate-ca' && rollover !== undefined;
      if (rotating && (rollover.immediately || !retireOldNow)) return undefined;
      // A rotation that is under way may be told to hurry.
      if (!rotating) requireIdle(newest);
      const pki = { ...pkiOf(newest), rollover: wanted(newest, retireOldNow, reason, deps.clock.now()) };
      return rotating ? { ...newest, pki } : { ...withOperation(newest, operation, deps.clock.now()), pki };
    });
    const current = { ...operation, ...tenant.operation };
    const stored = await deps.store.getOperation(tenantId, current.operationId);
    if (stored === undefined || changed) await announce(context, tenant, stored ?? current);
    return { status: 202, body: { tenant: await documentOf(deps, tenant), operation: stored ?? current } };
  },
});

function wanted(tenant: TenantRecord, immediately: boolean, reason: string, now: Date): Rollover {
  const rollover = tenant.pki?.rollover;
  if (rollover === undefined) return { phase: 'wanted', since: now.toISOString(), reason, immediately };
  if (immediately) return { ...rollover, immediately, reason };
  throw new ApiError(
    'conflict',
    `The certificate authority of "${tenant.tenantId}" was replaced a short while ago, and certificates of the old one are valid ` +
      `${rollover.phase === 'grace' ? `until ${rollover.until}` : 'still'}. Only retireOldNow can be asked for now: it locks out ` +
      'every client that has no certificate of the new one.',
  );
}

function pkiOf(tenant: TenantRecord): NonNullable<TenantRecord['pki']> {
  if (tenant.pki !== undefined) return tenant.pki;
  throw new ApiError('still-creating', `Tenant "${tenant.tenantId}" has no certificate authority yet.`, {
    'retry-after': '2',
  });
}
