import { dutyOf } from '../../core/duty.ts';
import { ConflictError } from '../../core/errors.ts';
import { withFleetPatch } from '../../core/fleet-tenant.ts';
import type { Rollout } from '../../core/model/rollout.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import type { Clock, Dispatcher, Ids, Log, TenantStore } from '../../core/ports.ts';
import { updateTenant } from '../../core/update-tenant.ts';
import type { VersionGate } from '../../core/version-rules.ts';
import { planFleet, readsFor } from './plan.ts';

export interface FleetDeps {
  readonly cell: { readonly id: string };
  readonly store: TenantStore;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'ulid'>;
  readonly log: Log;
  readonly gate: VersionGate;
}

const everyMs = 3_000;
const listedAtOnce = 100;
const readAtOnce = 16;

/**
 * Turns of a fleet patch, a few seconds apart, as long as it runs and time is left. It reads only tenants that matter
 * now, and starts ordinary patch operations, which keep to all rules by themselves.
 */
export async function serveFleet(deps: FleetDeps, deadline: Date): Promise<void> {
  for (;;) {
    const now = deps.clock.now();
    const rollout = await deps.store.getRollout();
    if (rollout?.state !== 'running' || now.getTime() + everyMs >= deadline.getTime()) return;
    if (!(await takeTurn(deps, rollout, now))) return;
    await deps.clock.sleep(everyMs);
  }
}

/** @returns false when somebody else is at it */
async function takeTurn(deps: FleetDeps, rollout: Rollout, now: Date): Promise<boolean> {
  const known = await idsOf(deps.store);
  const sick = await deps.store.sickTenants(deps.cell.id);
  const wanted = readsFor(rollout, { tenantIds: known, sick });
  const tenants = new Map<string, TenantRecord | undefined>();
  for (let from = 0; from < wanted.length; from += readAtOnce) {
    const part = wanted.slice(from, from + readAtOnce);
    const records = await Promise.all(part.map((tenantId) => deps.store.get(tenantId)));
    for (const [index, record] of records.entries()) tenants.set(part[index]!, record);
  }
  const turn = planFleet(rollout, { tenantIds: known, tenants, sick }, deps.gate, now);
  try {
    const next = { ...turn.rollout, recordVersion: rollout.recordVersion + 1, updatedAt: now.toISOString() };
    // Saved first: whoever is started is known to be.
    if (JSON.stringify(turn.rollout) !== JSON.stringify(rollout)) {
      await deps.store.saveRollout(next, rollout.recordVersion);
    }
  } catch (error) {
    if (error instanceof ConflictError) return false;
    throw error;
  }
  const { rolloutId, version } = rollout;
  if (turn.stops !== undefined) {
    deps.log.error(`The fleet patch to ${version} has stopped: ${turn.stops}`, { page: true, rolloutId });
  }
  for (const tenantId of turn.start) await start(deps, turn.rollout, tenants.get(tenantId)!);
  return true;
}

async function start(deps: FleetDeps, rollout: Rollout, tenant: TenantRecord): Promise<void> {
  const now = deps.clock.now();
  const at = now.toISOString();
  const operationId = deps.ids.ulid();
  const { saved, tenant: next } = await updateTenant(deps, tenant, (stored) =>
    withFleetPatch(stored, rollout, operationId, deps.gate, now),
  );
  if (!saved || next === undefined) return;
  const { tenantId } = next;
  const message = `Patching asked for by fleet patch ${rollout.rolloutId}: version ${tenant.spec.version} → ${rollout.version}`;
  await deps.store.putOperation({
    operationId,
    tenantId,
    kind: 'patch',
    state: 'pending',
    requestedBy: rollout.requestedBy,
    createdAt: at,
    updatedAt: at,
    message,
    steps: [],
  });
  const event = { eventId: deps.ids.ulid(), tenantId, at, kind: 'decided' as const, message, operationId };
  await deps.store.appendEvent(event);
  // Tenants of other cells are due: their own sweep sees to them.
  if (next.cell === deps.cell.id) await deps.dispatcher.look(tenantId, dutyOf(next));
}

async function idsOf(store: Pick<TenantStore, 'list'>): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ limit: listedAtOnce, ...(cursor !== undefined && { cursor }) });
    found.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}
