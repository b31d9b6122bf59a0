import type { Cell, Clock, MetricSink, TenantStore } from '../core/ports.ts';
import { isStorm } from '../core/storm.ts';

export interface TellFleetDeps {
  readonly cell: Pick<Cell, 'id'>;
  readonly store: Pick<TenantStore, 'sickTenants' | 'countInCell'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Pick<MetricSink, 'fleet'>;
}

/** Once a round: that there was one, and how the cell's tenants are all in all. */
export async function tellFleet({ cell, store, clock, metrics }: TellFleetDeps): Promise<void> {
  const [sick, tenants] = await Promise.all([store.sickTenants(cell.id), store.countInCell(cell.id)]);
  const storm = isStorm(sick, tenants, clock.now());
  metrics.fleet({ SweepRounds: 1, StormStop: storm ? 1 : 0, SickTenants: sick.length, Tenants: tenants });
}
