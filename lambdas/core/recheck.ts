import { dutyOf } from './duty.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Clock, Dispatcher, Duty, TenantStore } from './ports.ts';
import { updateTenant } from './update-tenant.ts';

export interface RecheckDeps {
  readonly store: Pick<TenantStore, 'get' | 'save'>;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
}

/** Whether a look is on its way that arrives about as early as `wanted`. */
export function isComing(recheck: TenantRecord['recheck'], duty: Duty, now: Date, wanted: Date): boolean {
  if (recheck?.duty !== duty) return false;
  const planned = Date.parse(recheck.at);
  return planned > now.getTime() && planned <= wanted.getTime() + 1_000;
}

/**
 * Looks that could not be served now come back as one: who finds that one is on its way sends none. Else every message
 * that is doubled would double again with each round. A tenant that is another function's by then is sent on to it.
 */
export async function lookOnce(
  deps: RecheckDeps,
  known: TenantRecord,
  duty: Duty,
  seconds: number,
): Promise<void> {
  const { tenantId } = known;
  // Whoever backs up works beside: a backup under way is no reason not to look at the tenant.
  const isAnothers = (stored: TenantRecord): boolean =>
    dutyOf(stored) !== duty && !(duty === 'sweep' && dutyOf(stored) === 'backup');
  const { tenant, saved } = await updateTenant(deps, known, (stored) => {
    const now = deps.clock.now();
    const at = new Date(now.getTime() + seconds * 1000);
    return isAnothers(stored) || isComing(stored.recheck, duty, now, at)
      ? undefined
      : { ...stored, recheck: { duty, at: at.toISOString() } };
  });
  if (saved) await deps.dispatcher.look(tenantId, duty, seconds);
  else if (tenant !== undefined && isAnothers(tenant)) {
    await deps.dispatcher.look(tenantId, dutyOf(tenant));
  }
}
