import { withBackoff, withoutBackoff } from './backoff.ts';
import { assessHealth, statusFrom } from './conditions.ts';
import { leaving, membersIn, membersOf, wantedMembers, withMembers } from './members.ts';
import type { Member } from './model/member.ts';
import type { Performers } from './perform.ts';
import type { Cell, Clock, Ids, KeyVault, NameRegistry, Pki, TaskRuntime } from './ports.ts';

export interface CreateDeps {
  readonly cell: Cell;
  readonly runtime: TaskRuntime;
  readonly names: NameRegistry;
  readonly vault: KeyVault;
  readonly pki: Pki;
  readonly ids: Ids;
  readonly clock: Clock;
}

const zonesOf = (cell: Cell): string[] => cell.subnets.map((subnet) => subnet.zone);

/** The steps that bring a cluster from nothing to published. */
export function createPerformers(deps: CreateDeps): Performers {
  const { cell } = deps;
  return {
    async 'request-members'(step, { now }) {
      const requestedAt = now.toISOString();
      const members = step.zones.map(
        (zone): Member => ({ state: 'requested', name: deps.ids.memberName(), zone, requestedAt }),
      );
      return {
        event: 'decided',
        message: `Members wanted: ${members.map((member) => `${member.name} in ${member.zone}`).join(', ')}.`,
        mutate: (tenant) =>
          tenant.incarnation.state === 'gathering' &&
          wantedMembers(tenant).length + members.length <= tenant.spec.members
            ? withMembers(tenant, members)
            : undefined,
      };
    },

    async 'launch-members'(step, { tenant, now }) {
      const wanted = membersIn(tenant, 'requested').filter((member) => step.members.includes(member.name));
      const { size, storageGiB, volume } = tenant.spec;
      const results = await Promise.allSettled(
        wanted.map(async (member) => {
          const { taskArn } = await deps.runtime.launch({
            cell,
            tenantId: tenant.tenantId,
            memberName: member.name,
            zone: member.zone,
            size,
            storageGiB,
            volume,
          });
          return { name: member.name, taskArn };
        }),
      );
      const launched = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      const failure = [...new Set(failed.map(messageOf))].join('; ');
      const launchedAt = now.toISOString();
      return {
        message: `Tasks launched: ${launched.map(({ name }) => name).join(', ') || 'none'}.`,
        ...(failed.length > 0 && { failure }),
        recordsWhatExists: true,
        mutate: (stored) => {
          const members = launched.flatMap(({ name, taskArn }): Member[] => {
            const member = stored.members[name];
            return member?.state === 'requested'
              ? [{ ...member, state: 'launching', taskArn, launchedAt }]
              : [];
          });
          const next = members.length > 0 ? withMembers(stored, members) : stored;
          if (failed.length > 0) return withBackoff(next, failure, now);
          return members.length > 0 ? next : undefined;
        },
      };
    },

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

    async 'latch-cluster'(step, { now }) {
      return {
        message: `Quorum formed: cluster ${step.clusterId}, incarnation ${step.incarnation}.`,
        mutate: (tenant) => {
          const { incarnation } = tenant;
          if (incarnation.state !== 'booting' || incarnation.number !== step.incarnation) return undefined;
          const members = membersIn(tenant, 'joined').flatMap((member): Member[] => {
            const etcdId = step.etcdIds[member.name];
            return etcdId === undefined ? [] : [{ ...member, state: 'voting', etcdId }];
          });
          const { number, token, initialCluster } = incarnation;
          const formed = {
            state: 'formed' as const,
            number,
            token,
            clusterId: step.clusterId,
            initialCluster,
            formedAt: now.toISOString(),
          };
          return withoutBackoff({ ...withMembers(tenant, members), incarnation: formed });
        },
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

    async 'abandon-incarnation'(step, { now }) {
      const token = deps.ids.clusterToken();
      return {
        event: 'decided',
        message: `Incarnation ${step.incarnation} is given up (${step.reason}); starting again with new members.`,
        mutate: (tenant) => {
          const { incarnation } = tenant;
          if (incarnation.state === 'formed' || incarnation.number !== step.incarnation) return undefined;
          const members = membersOf(tenant).map((member) => leaving(member, step.reason, now.toISOString()));
          return withBackoff(
            {
              ...withMembers(tenant, members),
              incarnation: { state: 'gathering', number: step.incarnation + 1, token },
            },
            step.reason,
            now,
          );
        },
      };
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
