import { withBackoff } from './backoff.ts';
import { membersIn, wantedMembers, withMembers } from './members.ts';
import type { Made, Member } from './model/member.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Performers } from './perform.ts';
import type { Cell, Ids, TaskRuntime } from './ports.ts';
import { madeFor } from './primitives/outdated.ts';
import { versionForNewcomer } from './version-rules.ts';

export interface LaunchDeps {
  readonly cell: Cell;
  readonly runtime: Pick<TaskRuntime, 'launch'>;
  readonly ids: Pick<Ids, 'memberName'>;
}

/** The steps that bring new members on their way, into a first bootstrap or into a formed cluster. */
export function launchPerformers(deps: LaunchDeps): Performers {
  const { cell } = deps;
  return {
    async 'request-members'(step, { tenant: known, now }) {
      const requestedAt = now.toISOString();
      const version = step.version ?? versionForNewcomer(known, step.insteadOf);
      const made = madeFor(known, cell.taskDefinitions, version);
      const members = step.zones.map(
        (zone): Member => ({ state: 'requested', name: deps.ids.memberName(), zone, requestedAt, made }),
      );
      return {
        event: 'decided',
        message: `Members wanted: ${members.map((member) => `${member.name} in ${member.zone}`).join(', ')}.`,
        mutate: (tenant) => (roomFor(tenant, members.length) ? withMembers(tenant, members) : undefined),
      };
    },

    async 'launch-members'(step, { tenant, now }) {
      const wanted = membersIn(tenant, 'requested').filter((member) => step.members.includes(member.name));
      const results = await Promise.allSettled(
        wanted.map(async (member) => {
          const planned = member.made ?? madeFor(tenant, cell.taskDefinitions);
          const { size, storageGiB, volume } = planned;
          const { taskArn } = await deps.runtime.launch({
            cell,
            tenantId: tenant.tenantId,
            memberName: member.name,
            zone: member.zone,
            size,
            storageGiB,
            volume,
            // What a lost cluster was last is on its disks (S6).
            ...(volume === 'ebs' && { keepDisk: true }),
          });
          // The image is that of now, also if the cell was deployed anew since the member was wanted.
          const made: Made = { ...planned, taskDefinition: cell.taskDefinitions[volume] };
          return { name: member.name, taskArn, made };
        }),
      );
      const launched = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      const failure = [...new Set(failed.map(messageOf))].join('; ');
      const refused = wanted.filter((_, index) => results[index]?.status === 'rejected');
      const launchedAt = now.toISOString();
      return {
        message: `Tasks launched: ${launched.map(({ name }) => name).join(', ') || 'none'}.`,
        ...(failed.length > 0 && { failure }),
        recordsWhatExists: true,
        mutate: (stored) => {
          const members = launched.flatMap(({ name, taskArn, made }): Member[] => {
            const member = stored.members[name];
            if (member?.state !== 'requested') return [];
            const { refusedSince: _since, ...known } = member;
            return [{ ...known, state: 'launching', taskArn, launchedAt, made }];
          });
          const waiting = refused.flatMap(({ name }): Member[] => {
            const member = stored.members[name];
            return member?.state === 'requested' && member.refusedSince === undefined
              ? [{ ...member, refusedSince: launchedAt }]
              : [];
          });
          const next = withMembers(stored, [...members, ...waiting]);
          if (failed.length > 0) return withBackoff(next, failure, now);
          return members.length > 0 ? next : undefined;
        },
      };
    },
  };
}

/** Asked again of the newest record: two that decide at once must not both get their member. */
function roomFor(tenant: TenantRecord, more: number): boolean {
  if (tenant.incarnation.state === 'booting') return false;
  if (tenant.incarnation.state === 'gathering') {
    return wantedMembers(tenant).length + more <= tenant.spec.members;
  }
  const newcomers = membersIn(tenant, 'requested', 'launching', 'joined', 'learner').length;
  return newcomers === 0 && more === 1 && membersIn(tenant, 'voting').length <= tenant.spec.members;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
