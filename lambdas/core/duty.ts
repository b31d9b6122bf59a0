import type { OperationKind } from './model/operation.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Duty } from './ports.ts';

const dutyOfOperation: Partial<Record<OperationKind, Duty>> = {
  scale: 'scale',
  resize: 'scale',
  replace: 'scale',
  patch: 'patch',
  'rotate-ca': 'patch',
  backup: 'backup',
  drill: 'backup',
  restore: 'restore',
  hibernate: 'restore',
  wake: 'restore',
};

/**
 * Which function has to work on the tenant now. Deleting goes before everything. A create operation stays with
 * `create` until it is closed, also when the phase has moved on already. Remediation goes before any other operation,
 * which resumes when `remediation` is gone; but for what replaces the whole cluster.
 */
export function dutyOf(tenant: TenantRecord): Duty {
  if (tenant.status.phase === 'deleting') return 'delete';
  if (tenant.status.phase === 'creating' || tenant.operation?.kind === 'create') return 'create';
  // Whoever restores has said what the cluster is to be: nothing of the old one is worth a repair any more.
  if (goesFirst(tenant)) return 'restore';
  if (tenant.remediation !== undefined || tenant.status.phase === 'recovering') return 'remediate';
  return (tenant.operation && dutyOfOperation[tenant.operation.kind]) ?? 'sweep';
}

/** Also a hibernation that has begun to stop members on purpose. */
export const goesFirst = ({ operation, hibernation }: TenantRecord): boolean =>
  operation?.kind === 'restore' ||
  operation?.kind === 'wake' ||
  (operation?.kind === 'hibernate' && hibernation?.operationId === operation.operationId);
