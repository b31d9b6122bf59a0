import { withoutBackoff } from './backoff.ts';
import { assessHealth, statusFrom } from './conditions.ts';
import { membersIn, withMembers } from './members.ts';
import type { Member } from './model/member.ts';
import type { Performers } from './perform.ts';
import type { Cell } from './ports.ts';

/** Beginning and end of an operation on a formed cluster. */
export function settlePerformers(deps: { readonly cell: Cell }): Performers {
  const zones = deps.cell.subnets.map((subnet) => subnet.zone);
  return {
    async 'begin-operation'(_step, { tenant: { operation }, now }) {
      return {
        event: 'decided',
        message: `The operation ${operation?.kind ?? ''} begins.`,
        mutate: (tenant) =>
          tenant.status.phase === 'available' || tenant.status.phase === 'degraded'
            ? {
                ...tenant,
                status: {
                  phase: 'updating',
                  conditions: tenant.status.conditions,
                  since: now.toISOString(),
                },
              }
            : undefined,
      };
    },

    async publish(_step, { tenant, observation, now }) {
      const health = assessHealth(tenant, observation, now, zones);
      return {
        message: `The cluster is as wanted: ${membersIn(tenant, 'voting').length} members, etcd ${tenant.spec.version}.`,
        mutate: (stored) => {
          if (
            stored.status.phase === 'deleting' ||
            stored.operation?.operationId !== tenant.operation?.operationId
          )
            return undefined;
          const members = membersIn(stored, 'voting').map((member): Member => {
            const seen = health.members[member.name];
            return seen ? { ...member, seen } : member;
          });
          const { replaceRequests: requests = {}, ...rest } = stored;
          const open = Object.entries(requests).filter(([name]) => stored.members[name] !== undefined);
          return withoutBackoff({
            ...withMembers(rest, members),
            ...(open.length > 0 && { replaceRequests: Object.fromEntries(open) }),
            status: statusFrom(stored, health, now),
            observedGeneration: Math.max(stored.observedGeneration, tenant.generation),
            highestRevision: Math.max(stored.highestRevision, health.revision),
          });
        },
      };
    },
  };
}
