import { authorityLife, isPastTwoThirds } from './authority.ts';
import type { Verdict } from './machine-conditions.ts';
import type { Condition } from './model/condition.ts';
import type { TenantRecord } from './model/tenant.ts';

/** None before the tenant has an authority. */
export function authorityConditions(tenant: TenantRecord, now: Date, verdict: Verdict): Condition[] {
  if (tenant.pki === undefined) return [];
  const { rollover } = tenant.pki;
  const until = authorityLife(tenant).until.toISOString();
  if (rollover?.phase === 'grace') {
    const message = `A new certificate authority is in use. The old one stays trusted until ${rollover.until}, for clients that still have a certificate of it.`;
    return [verdict('AuthorityCurrent', 'True', 'GraceOfClients', message)];
  }
  if (rollover !== undefined) {
    const message = `A new certificate authority is being brought in (${rollover.phase}).`;
    return [verdict('AuthorityCurrent', 'False', 'Rotating', message)];
  }
  if (isPastTwoThirds(tenant, now)) {
    const message = `The certificate authority ends on ${until} and is to be replaced.`;
    return [verdict('AuthorityCurrent', 'False', 'NearItsEnd', message)];
  }
  const message = `The certificate authority is valid until ${until}.`;
  return [verdict('AuthorityCurrent', 'True', 'Valid', message)];
}
