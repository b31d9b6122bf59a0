import type { Cell, Clock, MetricSink, TenantStore } from '../core/ports.ts';
import { isStorm } from '../core/storm.ts';
import { stoppedByItself } from './fleet/plan.ts';

export interface TellFleetDeps {
  readonly cell: Pick<Cell, 'id'>;
  readonly store: Pick<TenantStore, 'sickTenants' | 'countInCell' | 'getRollout'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Pick<MetricSink, 'fleet'>;
}

/** Once a round: that there was one, and how the cell's tenants are all in all. */
export async function tellFleet({ cell, store, clock, metrics }: TellFleetDeps): Promise<void> {
  const [sick, tenants, rollout] = await Promise.all([
    store.sickTenants(cell.id),
    store.countInCell(cell.id),
    store.getRollout(),
  ]);
  const storm = isStorm(sick, tenants, clock.now());
  const stopped = rollout?.state === 'stopped' && rollout.stopped?.by === stoppedByItself;
  metrics.fleet({
    SweepRounds: 1,
    StormStop: storm ? 1 : 0,
    PatchStopped: stopped ? 1 : 0,
    SickTenants: sick.length,
    Tenants: tenants,
  });
}
