import type { TenantRecord } from '../model/tenant.ts';

type Recovery = NonNullable<NonNullable<TenantRecord['remediation']>['recovery']>;

/** Nobody is left to give a snapshot: a worker makes one of a disk, or of a backup. */
export const isFromStore = (recovery: Recovery | undefined): recovery is Recovery =>
  recovery?.disks !== undefined || recovery?.pin !== undefined;
