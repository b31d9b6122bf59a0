import * as z from 'zod';
import { clientsAuthority } from '../../core/authority.ts';
import { clientTtl, clientUserSchema } from '../../core/client-user.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import type { ClientCertificate } from '../../core/ports.ts';
import type { ApiDeps } from '../deps.ts';
import { endpoint } from '../endpoint.ts';
import { problemsOf } from '../issues.ts';
import { newOperation, record } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { credentialsAnswerSchema, noQuery, tenantParams } from '../schemas.ts';
import { changeTenant, requireTenant } from '../tenant-access.ts';

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
    const made = csr === undefined ? await deps.pki.createClientKey(user) : undefined;
    const { issued, caBundle } = await issue(deps, tenantId, { user, ttlSeconds, csr: csr ?? made!.csr });
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
        caBundle,
        ...(made ? { privateKey: made.key } : {}),
        notAfter: issued.notAfter,
      },
    };
  },
});

/**
 * Signed, and written down that it was: the old authority of a rollover is trusted until the last certificate of it has
 * ended. An authority that a rollover has taken over from in the meantime signs nothing any more.
 */
async function issue(
  deps: ApiDeps,
  tenantId: string,
  { user, csr, ttlSeconds }: { user: string; csr: string; ttlSeconds: number },
): Promise<{ issued: ClientCertificate; caBundle: string }> {
  let signer = clientsAuthority(pkiOf(await requireTenant(deps, tenantId)));
  for (;;) {
    const key = await deps.keyVault.decrypt(tenantId, 'ca', signer.caKey);
    const issued = await deps.pki.signClient({ certificate: signer.certificate, key }, user, csr, ttlSeconds);
    const signed = signer;
    const { tenant } = await changeTenant(deps, tenantId, (newest) =>
      withClientsUntil(newest, signed.caKey, issued.notAfter),
    );
    const pki = pkiOf(tenant);
    signer = clientsAuthority(pki);
    if (signer.caKey === signed.caKey) return { issued, caBundle: pki.caBundle };
  }
}

const hourMs = 3_600_000;

/** To the full hour, so that not every certificate costs a write. Undefined: nothing to write. */
function withClientsUntil(tenant: TenantRecord, caKey: string, notAfter: string): TenantRecord | undefined {
  const pki = pkiOf(tenant);
  if (clientsAuthority(pki).caKey !== caKey) return undefined;
  const until = new Date(Math.ceil(Date.parse(notAfter) / hourMs) * hourMs).toISOString();
  // A record that never counted does not begin now: what was issued before would be forgotten.
  const isLater = (known: string | undefined): boolean => known !== undefined && known < until;
  const { rollover } = pki;
  if (rollover?.phase !== 'grace') {
    return isLater(pki.clientsUntil) ? { ...tenant, pki: { ...pki, clientsUntil: until } } : undefined;
  }
  const { authority } = rollover;
  if (!isLater(authority.clientsUntil)) return undefined;
  const counted = { ...rollover, authority: { ...authority, clientsUntil: until } };
  return { ...tenant, pki: { ...pki, rollover: counted } };
}

function pkiOf(tenant: TenantRecord): NonNullable<TenantRecord['pki']> {
  if (tenant.status.phase === 'deleting') {
    throw new ApiError(
      'deleting',
      `Tenant "${tenant.tenantId}" is being deleted: no more certificates are issued.`,
    );
  }
  const { rollover } = tenant.pki ?? {};
  if (rollover?.immediately && (rollover.phase === 'wanted' || rollover.phase === 'trust')) {
    throw new ApiError(
      'operation-under-way',
      `The certificate authority of "${tenant.tenantId}" is being replaced at once: a certificate issued now would be refused within minutes. Try again shortly.`,
      { 'retry-after': '5' },
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
