import { withBackoff, withoutBackoff } from './backoff.ts';
import { noteBeginning } from './backup/beginning.ts';
import { leaving, membersIn, membersOf, withMembers } from './members.ts';
import type { Member } from './model/member.ts';
import type { Performers } from './perform.ts';
import type { Ids, TenantStore } from './ports.ts';

/** The two ends of a coordinated bootstrap: a cluster that has formed, or an attempt that is given up. */
export interface BootstrapDeps {
  readonly ids: Pick<Ids, 'clusterToken'>;
  readonly store: Pick<TenantStore, 'putBackup'>;
}

export function bootstrapPerformers(deps: BootstrapDeps): Performers {
  return {
    async 'latch-cluster'(step, { tenant: known, now }) {
      // Before anybody is told that it serves: from then on nothing but this is what the tenant was.
      await noteBeginning(deps, known, now);
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
              incarnation: {
                state: 'gathering',
                number: step.incarnation + 1,
                token,
                // A recovery starts again from the same snapshot.
                ...(incarnation.restore && { restore: incarnation.restore }),
              },
            },
            step.reason,
            now,
          );
        },
      };
    },
  };
}
