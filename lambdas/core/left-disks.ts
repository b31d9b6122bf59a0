import { membersOf } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Disk } from './ports.ts';

/** The record with a note that these members, or all, leave their disks behind: whoever looks at it next looks for them. */
export function withLeftDisks(tenant: TenantRecord, now: Date, names?: readonly string[]): TenantRecord {
  const leave = membersOf(tenant).some(
    ({ name, made }) => (names?.includes(name) ?? true) && (made?.volume ?? tenant.spec.volume) === 'ebs',
  );
  return leave ? { ...tenant, leftDisks: tenant.leftDisks ?? now.toISOString() } : tenant;
}

/** A member of the record, or its worker. */
export const isOwned = ({ members, work }: TenantRecord, { memberName }: Disk): boolean =>
  members[memberName] !== undefined || work?.name === memberName;

/** Nobody's, and no task has it: whether it may go is for the rules to say. */
export const ownerless = (tenant: TenantRecord, disks: readonly Disk[]): Disk[] =>
  disks.filter((disk) => !isOwned(tenant, disk) && disk.state !== 'attached');
