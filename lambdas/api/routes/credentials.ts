import * as z from 'zod';
import { clientTtl, clientUserSchema } from '../../core/client-user.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { endpoint } from '../endpoint.ts';
import { problemsOf } from '../issues.ts';
import { newOperation, record } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { credentialsAnswerSchema, noQuery, tenantParams } from '../schemas.ts';
import { requireTenant } from '../tenant-access.ts';

const ttlText = `must be whole seconds from ${clientTtl.minSeconds} (1 hour) to ${clientTtl.maxSeconds} (1 year)`;

export const credentialsBodySchema = z.strictObject({
  user: clientUserSchema,
  ttlSeconds: z
    .int(ttlText)
    .min(clientTtl.minSeconds, ttlText)
    .max(clientTtl.maxSeconds, ttlText)
    .default(clientTtl.defaultSeconds),
  /** PKCS#10 in PEM. Without it a key is made for the caller. */
  csr: z.string().max(8192).optional(),
});

type CredentialsBody = z.infer<typeof credentialsBodySchema>;

function readCredentialsBody(raw: unknown) {
  const parsed = credentialsBodySchema.safeParse(raw);
  return parsed.success
    ? { value: parsed.data, problems: [] }
    : { value: raw as CredentialsBody, problems: problemsOf(parsed.error) };
}

export const postCredentials = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/credentials',
  operationId: 'issueCredentials',
  summary: 'Issue a client certificate',
  description:
    'With a CSR, the key never leaves the caller. Without one, a key is made and given out once; it is never stored, ' +
    'so the same request with the same Idempotency-Key answers 409.',
  params: tenantParams,
  query: noQuery,
  body: { schema: credentialsBodySchema, read: readCredentialsBody },
  answers: { 200: { description: 'The certificate', schema: credentialsAnswerSchema } },
  refusals: [404, 409, 413, 415, 422],
  async handle({ params: { tenantId }, body }, context) {
    const { deps, caller } = context;
    const { user, ttlSeconds, csr } = body;
    const pki = pkiOf(await requireTenant(deps, tenantId));
    const made = csr === undefined ? await deps.pki.createClientKey(user) : undefined;
    const key = await deps.keyVault.decrypt(tenantId, 'ca', pki.caKey);
    const ca = { certificate: pki.caBundle, key };
    const issued = await deps.pki.signClient(ca, user, csr ?? made!.csr, ttlSeconds);
    const { operationId } = newOperation(context, tenantId, 'update', '');
    await record(
      deps,
      { tenantId, operationId },
      'done',
      `Client certificate ${issued.serialNumber} issued for user "${user}" until ${issued.notAfter}, asked for by ${caller.arn}`,
    );
    return {
      status: 200,
      once: made !== undefined,
      body: {
        user,
        certificate: issued.certificate,
        caBundle: pki.caBundle,
        ...(made ? { privateKey: made.key } : {}),
        notAfter: issued.notAfter,
      },
    };
  },
});

function pkiOf(tenant: TenantRecord): NonNullable<TenantRecord['pki']> {
  if (tenant.status.phase === 'deleting') {
    throw new ApiError(
      'deleting',
      `Tenant "${tenant.tenantId}" is being deleted: no more certificates are issued.`,
    );
  }
  if (tenant.pki) return tenant.pki;
  throw new ApiError(
    'still-creating',
    `Tenant "${tenant.tenantId}" is still being created and has no certificate authority yet. ` +
      'Try again when its phase is available.',
    { 'retry-after': '2' },
  );
}
