import { dueShard, dueShards } from '../core/due-shard.ts';
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
import { healthyCheckMs, planSweep, type SweepResult } from './plan.ts';

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
 * Looks at one tenant: keeps conditions, members' health and phase true, and says when its repair has to begin. Takes
 * no lease, because it changes nothing but the record, in one conditional save; who conflicts with it has newer news.
 * While another function works on the tenant it looks all the same and then sends the tenant on.
 */
export async function sweepTenant(
  deps: SweepDeps,
  tenantId: string,
): Promise<'gone' | 'forwarded' | 'looked'> {
  const tenant = await deps.store.get(tenantId);
  if (tenant === undefined) return 'gone';
  const duty = dutyOf(tenant);
  if (duty === 'create' || duty === 'delete' || tenant.incarnation.state !== 'formed') {
    await deps.dispatcher.look(tenantId, duty);
    return 'forwarded';
  }
  const { cell, clock, runtime, nannies } = deps;
  const listed = duty === 'sweep' && isTurnToList(tenant, clock.now());
  const observer = createObserver(
    { cell, clock, runtime, nannies },
    { askNannies: () => true, listTasks: () => listed },
  );
  const observation = await observer.observe(tenant);
  const zones = cell.subnets.map((subnet) => subnet.zone);
  const newOperationId = deps.ids.ulid();
  const result = planSweep(tenant, observation, clock.now(), { zones, newOperationId, listed });
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
  const next = dutyOf(result.tenant);
  if (next !== 'sweep') await deps.dispatcher.look(tenantId, next);
  await follow(deps, tenant, result);
  return next === 'sweep' || next !== duty ? 'looked' : 'forwarded';
}

/** ListTasks is throttled per account: each tenant's turn comes every fifth of its calm sweeps, ten minutes apart. */
function isTurnToList(tenant: TenantRecord, now: Date): boolean {
  if (tenant.unowned !== undefined) return true;
  return (Math.floor(now.getTime() / healthyCheckMs) + dueShard(tenant.tenantId)) % 5 === 0;
}

/** What comes with the save. A crash in between loses a line or a note, never the repair: the record has it. */
async function follow(deps: SweepDeps, tenant: TenantRecord, result: SweepResult): Promise<void> {
  const { cell, tenantId } = tenant;
  const now = deps.clock.now();
  if (result.turned !== undefined) {
    await deps.store.noteSick(cell, tenantId, result.turned === 'sick' ? now : undefined);
  }
  if (result.lookAgainAt !== undefined && result.remediation === undefined) {
    const seconds = Math.ceil((result.lookAgainAt.getTime() - now.getTime()) / 1000);
    await deps.dispatcher.look(tenantId, 'sweep', Math.min(Math.max(seconds, 0), 900));
  }
  await tell(deps, tenant, result.changes);
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
