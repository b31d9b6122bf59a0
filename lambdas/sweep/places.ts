import { dueShard, dueShards } from '../core/due-shard.ts';
import type { SweepDeps } from './sweep.ts';

/** How often places are compared with records. */
const roundMinutes = 10;
/** Between place and record a request may still be under way, and the index of records lags behind them. */
const settleMs = 10 * 60_000;

/**
 * The round of every minute, each tenth time: who has a place in the cell and who lives there is made one again. They part
 * when a request is cut off between the two, and when a deployment of before places were counted is brought up to date.
 */
export async function sweepPlaces(deps: Pick<SweepDeps, 'cell' | 'store' | 'clock' | 'log'>): Promise<void> {
  const { cell, store, log } = deps;
  const now = deps.clock.now().getTime();
  const round = Math.floor(now / 60_000 / roundMinutes);
  if (Math.floor(now / 60_000) % roundMinutes !== 0) return;
  const [places, ids] = await Promise.all([store.places(cell.id), store.idsInCell(cell.id)]);
  const living = new Set(ids);
  for (const [tenantId, { at }] of Object.entries(places)) {
    if (living.has(tenantId) || now - Date.parse(at) < settleMs) continue;
    // The index may not know it yet; the record itself decides.
    if ((await store.get(tenantId))?.cell === cell.id) continue;
    await store.leavePlace(cell.id, tenantId, at);
    log.info('Gave the place of a tenant back that is not there', { tenantId });
  }
  for (const tenantId of ids) {
    const place = places[tenantId];
    // How many members somebody wants stands in the record: a sixteenth of them is read each time.
    if (place !== undefined && dueShard(tenantId) !== round % dueShards) continue;
    const tenant = await store.get(tenantId);
    if (tenant?.cell !== cell.id || tenant.spec.members === place?.members) continue;
    if (tenant.status.phase === 'deleting') continue;
    const { members } = tenant.spec;
    await store.takePlace(cell.id, tenantId, { members, at: tenant.createdAt }, Number.MAX_SAFE_INTEGER);
    log.info('Noted what a tenant takes of its cell', { tenantId, members });
  }
}
