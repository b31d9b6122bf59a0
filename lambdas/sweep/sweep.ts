import { isDeepStrictEqual } from 'node:util';
import { alarmsAreDue } from '../core/alarms.ts';
import { dueShard, dueShards } from '../core/due-shard.ts';
import { dutyOf, goesFirst } from '../core/duty.ts';
import { figuresAtWork, tenantFigures } from '../core/metrics.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { createObserver } from '../core/observe.ts';
import type {
  Cell,
  Clock,
  Dispatcher,
  Ids,
  Log,
  MetricSink,
  NannyClient,
  TaskRuntime,
  TenantStore,
  Volumes,
} from '../core/ports.ts';
import { lookOnce } from '../core/recheck.ts';
import { sizeAdviceIsDue } from '../core/size-advice.ts';
import { nothingSeen } from '../core/step.ts';
import { updateTenant } from '../core/update-tenant.ts';
import { removeLeftDisks } from './disks.ts';
import { healthyCheckMs, planSweep, type SweepResult } from './plan.ts';

export interface SweepDeps {
  readonly cell: Cell;
  readonly store: TenantStore;
  readonly runtime: TaskRuntime;
  readonly volumes: Pick<Volumes, 'list' | 'listKept' | 'remove'>;
  readonly nannies: NannyClient;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly metrics: Pick<MetricSink, 'tenant'>;
}

/** Tenants taken from one shard in one round; the next round takes the rest. */
const duePerShard = 200;

/** Nobody waits for the backups of a deleted tenant to go. */
const gravesPerRound = 10;

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
  const graves = await deps.store.dueGraves({ cell: deps.cell.id, now, limit: gravesPerRound });
  for (const id of graves) await deps.dispatcher.look(id, 'backup');
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
  // An alarm that changes wakes the sweep of every cell.
  if (tenant === undefined || tenant.cell !== deps.cell.id) return 'gone';
  const duty = dutyOf(tenant);
  // The function that speaks to CloudWatch knows its metrics too.
  const asksCloudWatch = alarmsAreDue(tenant, deps.clock.now()) || sizeAdviceIsDue(tenant, deps.clock.now());
  if (asksCloudWatch) await deps.dispatcher.look(tenantId, 'alarms');
  if (duty === 'sweep' && isAtRest(tenant)) {
    await saveSeen(deps, tenant, { ...tenant, nextCheckAt: inMs(deps, restingCheckMs) });
    if (tenant.leftDisks !== undefined) await removeLeftDisks(deps, tenantId, nothingSeen);
    return 'looked';
  }
  if (duty === 'create' || duty === 'delete' || tenant.incarnation.state !== 'formed' || goesFirst(tenant)) {
    deps.metrics.tenant(tenantId, figuresAtWork(tenant, deps.clock.now()));
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
  deps.metrics.tenant(tenantId, tenantFigures(result.tenant, observation, clock.now()));
  // Whoever takes the tenant up next asks S8: the note has to be there by then. It may stay when the save does not come
  // about (another sweep saw the same); a note too many only makes S8 more careful, and for half an hour at most.
  if (result.turned === 'sick') await deps.store.noteSick(cell.id, tenantId, clock.now());
  if (!(await saveSeen(deps, tenant, result.tenant))) {
    // A report came in between, or another sweep: look again at once, unless somebody else's duty began.
    await lookOnce(deps, tenant, 'sweep', 1);
    return 'looked';
  }
  const next = dutyOf(result.tenant);
  if (next !== 'sweep') await deps.dispatcher.look(tenantId, next);
  if (result.backUp && next !== 'backup') await deps.dispatcher.look(tenantId, 'backup');
  await follow(deps, tenant, result);
  if (duty === 'sweep' && next === 'sweep' && result.tenant.leftDisks !== undefined) {
    await removeLeftDisks(deps, tenantId, observation);
  }
  return next === 'sweep' || next !== duty ? 'looked' : 'forwarded';
}

/** Nothing of it runs, and nobody works on it. */
const isAtRest = ({ status }: TenantRecord): boolean =>
  status.phase === 'hibernated' || status.phase === 'failed';
const restingCheckMs = 15 * 60_000;

const inMs = ({ clock }: Pick<SweepDeps, 'clock'>, ms: number): string =>
  new Date(clock.now().getTime() + ms).toISOString();

/**
 * False: somebody has written news since `before` was read. That another look only asked to come back is none; if it
 * counted, two looks that take as long as a member that does not answer would keep each other from saving for ever.
 */
async function saveSeen(deps: SweepDeps, before: TenantRecord, after: TenantRecord): Promise<boolean> {
  const { recheck: _recheck, ...seen } = after;
  const { saved } = await updateTenant(deps, before, (stored) =>
    stored === before || isDeepStrictEqual(news(stored), news(before))
      ? { ...seen, ...(stored.recheck && { recheck: stored.recheck }) }
      : undefined,
  );
  return saved;
}

const news = ({ recordVersion: _recordVersion, recheck: _recheck, ...rest }: TenantRecord) => rest;

/** ListTasks is throttled per account: each tenant's turn comes every fifth of its calm sweeps, ten minutes apart. */
export function isTurnToList(tenant: Pick<TenantRecord, 'tenantId' | 'unowned'>, now: Date): boolean {
  if (tenant.unowned !== undefined) return true;
  return (Math.floor(now.getTime() / healthyCheckMs) + dueShard(tenant.tenantId)) % 5 === 0;
}

/** What comes with the save. A crash in between loses a line or a note, never the repair: the record has it. */
async function follow(deps: SweepDeps, tenant: TenantRecord, result: SweepResult): Promise<void> {
  const { cell, tenantId } = tenant;
  const now = deps.clock.now();
  if (result.turned === 'well') await deps.store.noteSick(cell, tenantId, undefined);
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
