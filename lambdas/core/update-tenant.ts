import { ConflictError } from './errors.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Clock, TenantStore } from './ports.ts';
import type { Mutation } from './step.ts';

const attempts = 15;

/**
 * Saves a small change beside whoever holds the lease (join does): a pure mutation of the newest record, applied
 * again after each conflict. `mutate` must not touch lease, fence or spec.
 *
 * @returns the record as it is now, and whether this call changed it
 * @throws ConflictError when others kept writing
 */
export async function updateTenant(
  deps: { store: Pick<TenantStore, 'get' | 'save'>; clock: Clock },
  known: TenantRecord,
  mutate: Mutation,
): Promise<{ tenant: TenantRecord | undefined; saved: boolean }> {
  let tenant: TenantRecord | undefined = known;
  for (let attempt = 1; ; attempt++) {
    const mutated = mutate(tenant);
    if (mutated === undefined) return { tenant, saved: false };
    const next = { ...mutated, recordVersion: tenant.recordVersion + 1 };
    try {
      await deps.store.save(next, tenant.recordVersion);
      return { tenant: next, saved: true };
    } catch (error) {
      if (!(error instanceof ConflictError) || attempt >= attempts) throw error;
    }
    // Members of one tenant write at the same instant: growing pauses let each of them through.
    if (attempt > 1) await deps.clock.sleep(5 * attempt);
    tenant = await deps.store.get(known.tenantId);
    if (tenant === undefined) return { tenant, saved: false };
  }
}
