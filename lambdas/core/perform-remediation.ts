import type { TenantRecord } from './model/tenant.ts';
import type { Performers } from './perform.ts';
import type { Ids } from './ports.ts';

/** Handing a tenant to remediation: its operation is written when remediation's journal opens it. */
export function remediationPerformers(deps: { readonly ids: Pick<Ids, 'ulid'> }): Performers {
  return {
    async 'begin-remediation'(step, { now }) {
      return {
        event: 'decided',
        message: `Not well: ${step.reason}. Remediation takes over.`,
        recordsWhatExists: true,
        mutate: (tenant) => withRemediation(tenant, step.what, step.reason, now, deps.ids),
      };
    },
  };
}

/** Undefined when remediation is under way already, or nothing is to be saved any more. */
export function withRemediation(
  tenant: TenantRecord,
  kind: 'remediate' | 'recover',
  reason: string,
  now: Date,
  ids: Pick<Ids, 'ulid'>,
): TenantRecord | undefined {
  if (tenant.remediation !== undefined || tenant.status.phase === 'deleting') return undefined;
  return {
    ...tenant,
    remediation: { operationId: ids.ulid(), kind, since: now.toISOString(), reason },
  };
}
