import { type AlarmSettings, alarmKey, alarmsOf } from '../core/alarms.ts';
import type { Clock, Log, TenantAlarms, TenantStore } from '../core/ports.ts';
import { updateTenant } from '../core/update-tenant.ts';

export interface AlarmDeps {
  readonly store: Pick<TenantStore, 'get' | 'save'>;
  readonly alarms: TenantAlarms;
  readonly settings: AlarmSettings;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Brings one tenant's alarms to what its record says. Level-triggered: a look too many costs one call. It takes no lease,
 * because alarms touch nothing of the cluster.
 */
export async function ensureAlarms(deps: AlarmDeps, tenantId: string): Promise<'ensured' | 'gone'> {
  const tenant = await deps.store.get(tenantId);
  const wanted = tenant && alarmsOf(tenant, deps.settings);
  const changed = await deps.alarms.ensure(tenantId, wanted);
  if (changed > 0) deps.log.info('Alarms brought up to the record', { tenantId, changed });
  if (tenant === undefined) return 'gone';
  const noted = { key: alarmKey(tenant), at: deps.clock.now().toISOString() };
  // The key is of the record that was read: if that has changed since, the next look of the sweep asks again.
  await updateTenant(deps, tenant, (stored) => ({ ...stored, alarms: noted }));
  return 'ensured';
}

/** Alarms whose tenant is gone: the look at its end was lost. @returns how many tenants' */
export async function removeOrphans(deps: AlarmDeps): Promise<number> {
  let removed = 0;
  for (const tenantId of await deps.alarms.tenants()) {
    if ((await deps.store.get(tenantId)) !== undefined) continue;
    await deps.alarms.ensure(tenantId, undefined);
    removed += 1;
  }
  return removed;
}
