import { withoutBackoff } from './backoff.ts';
import { assessHealth, statusFrom } from './conditions.ts';
import { membersIn, withMembers } from './members.ts';
import type { Member } from './model/member.ts';
import type { Performers } from './perform.ts';
import { bootstrapPerformers } from './perform-bootstrap.ts';
import { launchPerformers } from './perform-launch.ts';
import type { Cell, Clock, Ids, KeyVault, NameRegistry, Pki, TaskRuntime, TenantStore } from './ports.ts';

export interface CreateDeps {
  readonly cell: Cell;
  readonly runtime: TaskRuntime;
  readonly names: NameRegistry;
  readonly vault: KeyVault;
  readonly pki: Pki;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly store: Pick<TenantStore, 'putBackup'>;
}

const zonesOf = (cell: Cell): string[] => cell.subnets.map((subnet) => subnet.zone);

/** The steps that bring a cluster from nothing to published. */
export function createPerformers(deps: CreateDeps): Performers {
  const { cell } = deps;
  return {
    ...launchPerformers(deps),
    ...bootstrapPerformers(deps),

    async 'issue-pki'(_step, { tenant: { tenantId } }) {
      const ca = await deps.pki.createAuthority(tenantId);
      const leaf = await deps.pki.createControlPlaneLeaf(ca, tenantId);
      const [caKey, controlPlaneKey] = await Promise.all([
        deps.vault.encrypt(tenantId, 'ca', ca.key),
        deps.vault.encrypt(tenantId, 'control-plane', leaf.key),
      ]);
      return {
        message: 'Certificate authority of the tenant made.',
        // A second authority beside the first would split the members: the first one saved stays.
        mutate: (tenant) =>
          tenant.pki === undefined
            ? {
                ...tenant,
                pki: {
                  caBundle: ca.certificate,
                  caKey,
                  controlPlaneCertificate: leaf.certificate,
                  controlPlaneKey,
                  validFrom: ca.validFrom,
                  validUntil: ca.validUntil,
                  // None has been issued.
                  clientsUntil: ca.validFrom,
                },
              }
            : undefined,
      };
    },

    async 'create-name'(_step, { tenant }) {
      const { serviceId } = await deps.names.ensureService(cell, tenant.tenantId);
      return {
        message: `Name ${tenant.tenantId}.${cell.namespaceName} created.`,
        recordsWhatExists: true,
        mutate: (stored) =>
          stored.nameServiceId === serviceId ? undefined : { ...stored, nameServiceId: serviceId },
      };
    },

    async publish(_step, { tenant, observation, now }) {
      const voting = membersIn(tenant, 'voting');
      if (tenant.nameServiceId !== undefined) {
        const serviceId = tenant.nameServiceId;
        await Promise.all(voting.map((member) => deps.names.register(serviceId, member.name, member.ip)));
      }
      const health = assessHealth(tenant, observation, now, zonesOf(cell));
      return {
        message:
          health.phase === 'available'
            ? `The cluster serves under ${tenant.tenantId}.${cell.namespaceName}.`
            : `The cluster serves, but not at full strength: ${health.reason}.`,
        mutate: (stored) => {
          if (stored.status.phase !== 'creating') return undefined;
          const members = membersIn(stored, 'voting').map((member): Member => {
            const seen = health.members[member.name];
            const lastExitAt = member.seen?.lastExitAt;
            return seen ? { ...member, seen: { ...seen, ...(lastExitAt && { lastExitAt }) } } : member;
          });
          return withoutBackoff({
            ...withMembers(stored, members),
            status: statusFrom(stored, health, now),
            observedGeneration: tenant.generation,
            highestRevision: Math.max(stored.highestRevision, health.revision),
          });
        },
      };
    },
  };
}
