import type { Made, Member } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { Cell } from '../ports.ts';

export type TaskDefinitions = Cell['taskDefinitions'];

/** What a member of this tenant should be, at this version. */
export const madeFor = (
  { spec }: Pick<TenantRecord, 'spec'>,
  taskDefinitions: TaskDefinitions,
  version: string = spec.version,
): Made => ({
  version,
  size: spec.size,
  storageGiB: spec.storageGiB,
  volume: spec.volume,
  quotaMiB: spec.quotaMiB,
  autoCompaction: spec.autoCompaction,
  taskDefinition: taskDefinitions[spec.volume],
});

/** Names of what is not as it should be. A member of before `made` was written is known by its version only. */
export function outdatedFields(
  tenant: TenantRecord,
  member: Member,
  taskDefinitions: TaskDefinitions,
): (keyof Made)[] {
  const wanted = madeFor(tenant, taskDefinitions);
  const { made } = member;
  const { spec } = tenant;
  if (made === undefined) {
    const version = 'seen' in member ? member.seen?.version : undefined;
    return version !== undefined && version !== wanted.version ? ['version'] : [];
  }
  return (Object.keys(wanted) as (keyof Made)[]).filter((field) =>
    field === 'autoCompaction'
      ? made[field] !== undefined && !isSameCompaction(made[field], spec.autoCompaction)
      : made[field] !== wanted[field],
  );
}

type Compaction = TenantRecord['spec']['autoCompaction'];

const isSameCompaction = (a: Compaction, b: Compaction): boolean => compactionOf(a) === compactionOf(b);

function compactionOf(wanted: Compaction): string {
  switch (wanted.mode) {
    case 'off':
      return 'off';
    case 'periodic':
      return `${wanted.retentionMinutes} min`;
    case 'revision':
      return `${wanted.retentionRevisions} revisions`;
  }
}

export const isOutdated = (tenant: TenantRecord, member: Member, definitions: TaskDefinitions): boolean =>
  outdatedFields(tenant, member, definitions).length > 0;
