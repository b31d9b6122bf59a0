import type { TenantRecord } from './model/tenant.ts';
import type { Duty } from './ports.ts';

/**
 * Which function has to work on the tenant now. Deleting goes before everything. A create operation stays with
 * `create` until it is closed, also when the phase has moved on already.
 */
export function dutyOf(tenant: TenantRecord): Duty {
  if (tenant.status.phase === 'deleting') return 'delete';
  if (tenant.status.phase === 'creating' || tenant.operation?.kind === 'create') return 'create';
  return 'sweep';
}
