import { dueShards } from '../core/due-shard.ts';
import { dutyOf } from '../core/duty.ts';
import { ConflictError } from '../core/errors.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { createObserver } from '../core/observe.ts';
import type {
  Cell,
  Clock,
  Dispatcher,
  Ids,
  Log,
  NannyClient,
  TaskRuntime,
  TenantStore,
} from '../core/ports.ts';
import { planSweep } from './plan.ts';

export interface SweepDeps {
  readonly cell: Cell;
  readonly store: TenantStore;
  readonly runtime: TaskRuntime;
  readonly nannies: NannyClient;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Tenants taken from one shard in one round; the next round takes the rest. */
const duePerShard = 200;

/** The round of every minute: whoever is due gets a look. Looks that were lost and operations that hang are due too. */
export async function sweepDue(
  deps: Pick<SweepDeps, 'cell' | 'store' | 'dispatcher' | 'clock'>,
): Promise<number> {
  const now = deps.clock.now();
  const shards = await Promise.all(
    Array.from({ length: dueShards }, (_, shard) =>
      deps.store.due({ cell: deps.cell.id, shard, now, limit: duePerShard }),
    ),
  );
  const due = shards.flat();
  for (let from = 0; from < due.length; from += dueShards) {
    await Promise.all(due.slice(from, from + dueShards).map((id) => deps.dispatcher.look(id, 'sweep')));
  }
  return due.length;
}

/**
 * Looks at one tenant: keeps conditions, members' health and phase true. Takes no lease, because it changes nothing
 * but the record, in one conditional save; who conflicts with it has newer news.
 */
export async function sweepTenant(
  deps: SweepDeps,
  tenantId: string,
): Promise<'gone' | 'forwarded' | 'looked'> {
  const tenant = await deps.store.get(tenantId);
  if (tenant === undefined) return 'gone';
  const duty = dutyOf(tenant);
  if (duty !== 'sweep') {
    await deps.dispatcher.look(tenantId, duty);
    return 'forwarded';
  }
  const { cell, clock, runtime, nannies } = deps;
  const observer = createObserver({ cell, clock, runtime, nannies }, { askNannies: () => true });
  const observation = await observer.observe(tenant);
  const zones = cell.subnets.map((subnet) => subnet.zone);
  const result = planSweep(tenant, observation, clock.now(), zones);
  try {
    await deps.store.save(
      { ...result.tenant, recordVersion: tenant.recordVersion + 1 },
      tenant.recordVersion,
    );
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // A report came in between. Look again at once, unless somebody else's duty began.
    await deps.dispatcher.look(tenantId, 'sweep', 1);
    return 'looked';
  }
  await tell(deps, tenant, result.changes);
  return 'looked';
}

async function tell(
  deps: SweepDeps,
  tenant: TenantRecord,
  changes: ReturnType<typeof planSweep>['changes'],
): Promise<void> {
  for (const change of changes) {
    await deps.store.appendEvent({
      eventId: deps.ids.ulid(),
      tenantId: tenant.tenantId,
      at: deps.clock.now().toISOString(),
      kind: 'seen',
      ...change,
    });
  }
}
