import type { OperationKind } from './model/operation.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Duty } from './ports.ts';

const dutyOfOperation: Partial<Record<OperationKind, Duty>> = {
  scale: 'scale',
  resize: 'scale',
  replace: 'scale',
  patch: 'patch',
};

/**
 * Which function has to work on the tenant now. Deleting goes before everything. A create operation stays with
 * `create` until it is closed, also when the phase has moved on already. Remediation goes before any other operation,
 * which resumes when `remediation` is gone.
 */
export function dutyOf(tenant: TenantRecord): Duty {
  if (tenant.status.phase === 'deleting') return 'delete';
  if (tenant.status.phase === 'creating' || tenant.operation?.kind === 'create') return 'create';
  if (tenant.remediation !== undefined || tenant.status.phase === 'recovering') return 'remediate';
  return (tenant.operation && dutyOfOperation[tenant.operation.kind]) ?? 'sweep';
}
