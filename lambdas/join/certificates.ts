import { membersAuthority } from '../core/authority.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { IssuedCertificates, JoinRequest } from '../core/wire/join.ts';
import type { JoinDeps } from './deps.ts';

type Owner = { readonly name: string; readonly ip: string };

/**
 * What can refuse to sign is over when this returns: the requests have been checked and the tenant's CA key has been
 * opened. So signing itself can go on beside the record.
 *
 * @throws InvalidRequestError naming the request that is bad
 */
export async function leafSigner(
  deps: JoinDeps,
  tenant: TenantRecord,
  csrs: JoinRequest['csrs'],
): Promise<(owner: Owner) => Promise<IssuedCertificates>> {
  const [sign] = await Promise.all([opened(deps, tenant), deps.pki.checkMemberRequests(csrs)]);
  return (owner) => sign(owner, csrs);
}

/** Signs a member's leaves with the tenant's CA. @throws InvalidRequestError naming the request that is bad */
export async function signLeaves(
  deps: JoinDeps,
  tenant: TenantRecord,
  owner: Owner,
  csrs: JoinRequest['csrs'],
): Promise<IssuedCertificates> {
  const sign = await opened(deps, tenant);
  return sign(owner, csrs);
}

/** The CA's key is opened for one call of join only. */
async function opened(deps: JoinDeps, { pki, tenantId }: TenantRecord) {
  if (pki === undefined) throw new Error(`Tenant ${tenantId} has no certificate authority.`);
  const key = await deps.vault.decrypt(tenantId, 'ca', pki.caKey);
  const { certificate } = membersAuthority(pki);
  return ({ name, ip }: Owner, csrs: JoinRequest['csrs']): Promise<IssuedCertificates> => {
    const dnsName = `${tenantId}.${deps.cell.namespaceName}`;
    const identity = { tenantId, memberName: name, ip, dnsName };
    return deps.pki.signMemberLeaves({ certificate, key }, identity, csrs, pki.caBundle);
  };
}
