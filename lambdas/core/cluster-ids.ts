import { wantedMembers } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Observation } from './step.ts';

/** Cluster ids that the present members' etcds answer with, and the latched one. */
export function clusterIdsSeen(tenant: TenantRecord, observation: Observation): Set<string> {
  const ids = new Set<string>();
  if (tenant.incarnation.state === 'formed') ids.add(tenant.incarnation.clusterId);
  for (const member of wantedMembers(tenant)) {
    const nanny = observation.nannies[member.name];
    if (!nanny?.reachable || nanny.status.incarnation !== tenant.incarnation.number) continue;
    if (nanny.status.self) ids.add(nanny.status.self.clusterId);
    if (nanny.status.view) ids.add(nanny.status.view.clusterId);
  }
  return ids;
}
