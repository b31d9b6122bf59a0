import { membersAuthority } from '../core/authority.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { IssuedCertificates, JoinRequest } from '../core/wire/join.ts';
import type { JoinDeps } from './deps.ts';

/** Signs a member's leaves with the tenant's CA, whose key is opened for this call only. */
export async function signLeaves(
  deps: JoinDeps,
  tenant: TenantRecord,
  member: { readonly name: string; readonly ip: string },
  csrs: JoinRequest['csrs'],
): Promise<IssuedCertificates> {
  const { pki, tenantId } = tenant;
  if (pki === undefined) throw new Error(`Tenant ${tenantId} has no certificate authority.`);
  const key = await deps.vault.decrypt(tenantId, 'ca', pki.caKey);
  const { certificate } = membersAuthority(pki);
  const identity = {
    tenantId,
    memberName: member.name,
    ip: member.ip,
    dnsName: `${tenantId}.${deps.cell.namespaceName}`,
  };
  return deps.pki.signMemberLeaves({ certificate, key }, identity, csrs, pki.caBundle);
}
