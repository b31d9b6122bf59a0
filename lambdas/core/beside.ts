import { ConflictError } from './errors.ts';
import type { Acquired, HeldTenant, LeaseDeps } from './lease.ts';
import type { TenantRecord } from './model/tenant.ts';
import { updateTenant } from './update-tenant.ts';

/**
 * Works on a tenant beside whoever holds its lease, and never keeps anybody waiting: it takes none. For work that neither
 * changes membership nor stops anything, where two looks at once do no harm because the record is written before the world
 * is told. Its fence is that of the present holder: a nanny refuses it as soon as there is a newer one.
 */
export interface Beside {
  /** Asked before each step and each save. */
  readonly mayWork: (tenant: TenantRecord) => boolean;
  /** A step failed: what the record is to say of it. The back-off of those who hold the lease is theirs. */
  readonly withFailure: (tenant: TenantRecord, reason: string, now: Date) => TenantRecord;
  readonly failure: (tenant: TenantRecord) => { readonly until: string; readonly reason: string } | undefined;
}

export async function standBeside(
  deps: LeaseDeps,
  tenantId: string,
  { mayWork }: Beside,
): Promise<Acquired | { readonly kind: 'not-now' }> {
  const found = await deps.store.get(tenantId);
  if (found === undefined) return { kind: 'gone' };
  if (!mayWork(found)) return { kind: 'not-now' };
  let current: TenantRecord = found;

  const refresh = async (): Promise<void> => {
    current = (await deps.store.get(tenantId)) ?? current;
  };
  const save: HeldTenant['save'] = async (mutate, options = {}) => {
    const { tenant, saved } = await updateTenant(deps, current, (stored) =>
      options.anyDuty || mayWork(stored) ? mutate(stored) : undefined,
    );
    if (tenant === undefined) throw new ConflictError(`Tenant ${tenantId} is gone.`);
    current = tenant;
    return saved;
  };

  return {
    kind: 'held',
    held: {
      tenant: () => current,
      fence: current.fence,
      refresh,
      save,
      ensure: async () => undefined,
      release: async (_nextCheckAt, recheckBeside) => {
        if (recheckBeside) await save((tenant) => ({ ...tenant, recheckBeside }), { anyDuty: true });
      },
      finish: async (mutate, nextCheckAt) => {
        await save((tenant) => ({ ...mutate(tenant), nextCheckAt: nextCheckAt.toISOString() }), {
          anyDuty: true,
        });
      },
      abandon: () => undefined,
      remove: () => Promise.reject(new Error('A record is removed by who holds its lease.')),
    },
  };
}
