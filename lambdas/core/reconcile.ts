import { lastOf, mayBackUp } from './backup/duty.ts';
import { type Beside, standBeside } from './beside.ts';
import { dutyOf } from './duty.ts';
import { ControlPlaneError, LeaseLostError } from './errors.ts';
import { type Journal, openJournal } from './journal.ts';
import { acquire, type HeldTenant } from './lease.ts';
import { figuresInPass } from './metrics.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Observer } from './observe.ts';
import type { Performers } from './perform.ts';
import type { Cell, Clock, Dispatcher, Duty, Ids, Log, MetricSink, TenantStore } from './ports.ts';
import { isComing, lookOnce } from './recheck.ts';
import { checkStep } from './safety.ts';
import type { Decision, Plan, Step, StepKind } from './step.ts';
import { checkFleet, noteHeld } from './storm.ts';
import { takeStep } from './take-step.ts';

export interface ReconcileDeps {
  readonly cell: Cell;
  readonly store: TenantStore;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Who works on a tenant tells its figures too: while the work waits, the sweep may not come for hours. */
  readonly metrics?: MetricSink;
}

/** What a function brings: its duty, its plan, its eyes and its hands. */
export interface Work {
  readonly duty: Duty;
  readonly plan: Plan;
  readonly observer: () => Observer;
  readonly performers: Performers;
  /** In all that one look stays awake for things expected within seconds. @default 3 s */
  readonly awakeMs?: number;
  /** How often it looks meanwhile. @default soon at first, then less and less often */
  readonly pollMs?: number;
  /** What was asked for is not there yet: looked at again after. @default 1 s */
  readonly repeatSeconds?: (tenant: TenantRecord, now: Date) => number;
  /** Takes no lease. @default works while the tenant is its duty, with the lease */
  readonly beside?: Beside;
}

const isItsTurn = ({ duty, beside }: Work, tenant: TenantRecord): boolean =>
  beside === undefined ? dutyOf(tenant) === duty : beside.mayWork(tenant);

export type LookResult =
  | 'gone'
  | 'not-now'
  | 'busy'
  | 'forwarded'
  | 'done'
  | 'waiting'
  | 'blocked'
  | 'taken-over';

/** How long one look stays awake for things expected within seconds. */
const awakeMs = 3_000;
/**
 * Between its looks meanwhile. `look`: what follows a step mostly comes at once, and what has not come by then takes a
 * while. `again`: a step that came to nothing is tried less and less often; leadership that cannot be handed over costs
 * writes each time. `record`: only the record can bring it, and ECS is asked no more often anyway (observe.ts).
 */
const naps = {
  look: { firstMs: 40, mostMs: 200 },
  again: { firstMs: 150, mostMs: 500 },
  record: { firstMs: 800, mostMs: 800 },
};
type Nap = keyof typeof naps;
const napGrowth = 1.25;
/** Meanwhile the record is read this often: news in it, such as a member that has joined, end the nap. */
const glanceMs = 40;
/** A holder that is alive is done or waiting within seconds; one that died holds the lease a few seconds more. */
const busyRetrySeconds = 2;
const faultRetrySeconds = 5;
/** A step is not begun with less than this left of the invocation. */
const stepRoomMs = 10_000;
/** When a tenant without work is looked at next by the sweep. */
const restMs = 60_000;
const changesWhatIsCached: readonly StepKind[] = [
  'launch-members',
  'stop-tasks',
  'launch-work',
  'retry-work',
  'end-work',
  'register-names',
  'deregister-names',
];

/**
 * One look at one tenant: lease ▸ observe ▸ plan ▸ safety ▸ one idempotent step ▸ save, again and again while there
 * is progress, until `deadline`. Level-triggered: it needs nothing from the message but the name, so lost, doubled
 * and late messages are harmless. A crash anywhere is harmless too: the lease runs out, `nextCheckAt` lies just
 * behind it, and the next look observes anew. A look that cannot be served now is sent again, never dropped.
 */
export async function reconcile(
  deps: ReconcileDeps,
  work: Work,
  tenantId: string,
  deadline: Date,
): Promise<LookResult> {
  const acquired = work.beside
    ? await standBeside(deps, tenantId, work.beside)
    : await acquire(deps, tenantId, deps.ids.ulid(), work.duty);
  switch (acquired.kind) {
    case 'gone':
    case 'not-now':
      return acquired.kind;
    case 'other-duty':
      await deps.dispatcher.look(tenantId, acquired.duty);
      return 'forwarded';
    case 'busy':
      await comeBack(deps, work, acquired.tenant);
      return 'busy';
    case 'held':
      return withLease(deps, work, acquired.held, deadline);
  }
}

async function withLease(
  deps: ReconcileDeps,
  work: Work,
  held: HeldTenant,
  deadline: Date,
): Promise<LookResult> {
  let journal: Journal | undefined;
  const startedAt = deps.clock.now();
  try {
    journal = await openJournal(deps, held.tenant(), work.duty);
    return await loop(deps, work, held, journal, deadline);
  } catch (error) {
    if (error instanceof LeaseLostError) return 'taken-over';
    const passing = error instanceof ControlPlaneError && error.retryable;
    if (passing) {
      deps.log.warn(error.message, { tenantId: held.tenant().tenantId, code: error.code });
      return await requeue(deps, work, held, faultRetrySeconds).then(() => 'waiting' as const, takenOver);
    }
    // A bug or a missing permission: give the lease back so that the next look is not held up, and be heard.
    journal?.failed('look', error instanceof Error ? error.message : String(error), startedAt);
    await held.release(new Date(deps.clock.now().getTime() + restMs)).catch(() => undefined);
    throw error;
  } finally {
    held.abandon();
    await journal?.flush();
  }
}

/** What failed for long enough has often cost the lease too: then whoever has it now goes on, and no look has failed. */
function takenOver(error: unknown): 'taken-over' {
  if (error instanceof LeaseLostError) return 'taken-over';
  throw error;
}

async function loop(
  deps: ReconcileDeps,
  work: Work,
  held: HeldTenant,
  journal: Journal,
  deadline: Date,
): Promise<LookResult> {
  const observer = work.observer();
  const timeLeft = (): number => deadline.getTime() - deps.clock.now().getTime();
  let awake = work.awakeMs ?? awakeMs;
  /** Since the last step that was news. */
  let napped = 0;
  const taken = new Set<string>();
  let told = work.beside !== undefined;

  const nap = async (kind: Nap): Promise<boolean> => {
    if (awake <= 0 || timeLeft() < stepRoomMs) return false;
    const { firstMs, mostMs } = naps[kind];
    const sleepMs = work.pollMs ?? Math.min(mostMs, firstMs * napGrowth ** napped);
    awake -= sleepMs;
    napped += 1;
    // Who says itself how often it looks reads no more often than that.
    const glance = work.pollMs ?? glanceMs;
    const { recordVersion } = held.tenant();
    for (let left = sleepMs; left > 0 && held.tenant().recordVersion === recordVersion; left -= glance) {
      await deps.clock.sleep(Math.min(left, glance));
      await held.refresh();
    }
    await held.ensure();
    return true;
  };

  for (;;) {
    const tenant = held.tenant();
    if (!isItsTurn(work, tenant)) return work.beside ? 'not-now' : handOver(deps, held, dutyOf(tenant));

    // Somebody has asked for something since, or another look has ended it: who works beside has no lease that keeps it.
    if (work.beside && !journal.isOf(tenant)) {
      await deps.dispatcher.look(tenant.tenantId, work.duty);
      return 'done';
    }

    const observation = await observer.observe(tenant);
    if (!told) deps.metrics?.tenant(tenant.tenantId, figuresInPass(tenant, observation, deps.clock.now()));
    told = true;
    const decision = work.plan(tenant, observation, deps.clock.now());
    if (decision.kind !== 'step') {
      const result = await rest(deps, work, held, journal, decision, nap);
      if (result !== 'again') return result;
      continue;
    }

    const wanted = decision.step;
    const now = deps.clock.now();
    const zones = deps.cell.subnets.map((subnet) => subnet.zone);
    const alone = checkStep({ step: wanted, tenant, observation, now, zones });
    const verdict = alone.allowed ? await checkFleet(deps, wanted, tenant, now) : alone;
    if (alone.allowed && noteHeld(tenant, wanted, verdict)) {
      await held.save((stored) => noteHeld(stored, wanted, verdict));
    }
    if (!verdict.allowed) {
      journal.refused(wanted.kind, verdict.rule, verdict.reason);
      await requeue(deps, work, held, 60);
      return 'blocked';
    }
    // The same step on the same record again: the world has not caught up yet, or two steps undo each other. Do not spin.
    const again = taken.has(signatureOf(tenant, wanted));
    if ((again && !(await nap('again'))) || timeLeft() < stepRoomMs) {
      await requeue(deps, work, held, work.repeatSeconds?.(tenant, now) ?? 1);
      return 'waiting';
    }
    await held.ensure();
    const outcome = await takeStep(deps, held, journal, wanted, work, observation);
    if (outcome === 'ended') {
      // The sweep would come in minutes: until then a new cluster would not be backed up at all, and who works beside the
      // others has more to do than the operation that is done.
      const unsaved = mayBackUp(tenant) && lastOf(tenant) === undefined;
      if (work.beside || unsaved) await deps.dispatcher.look(tenant.tenantId, 'backup');
      return 'done';
    }
    if (outcome === 'failed') {
      const { until } = (work.beside ? work.beside.failure(held.tenant()) : held.tenant().backoff) ?? {};
      await requeue(deps, work, held, secondsUntil(until, deps.clock.now()));
      return 'waiting';
    }
    if (changesWhatIsCached.includes(wanted.kind)) observer.forget();
    if (!again) napped = 0;
    taken.add(signatureOf(held.tenant(), wanted));
  }
}

const signatureOf = ({ recordVersion }: TenantRecord, wanted: Step): string =>
  `${recordVersion} ${JSON.stringify(wanted)}`;

/** Nothing to do now: stay awake if it is worth it, else leave word when to look again. */
async function rest(
  deps: ReconcileDeps,
  work: Work,
  held: HeldTenant,
  journal: Journal,
  decision: Exclude<Decision, { kind: 'step' }>,
  nap: (kind: Nap) => Promise<boolean>,
): Promise<LookResult | 'again'> {
  switch (decision.kind) {
    case 'done':
      await held.release(new Date(deps.clock.now().getTime() + restMs));
      return 'done';
    case 'blocked':
      journal.waiting('blocked', decision.reason);
      deps.log.error(decision.reason, { page: true, tenantId: held.tenant().tenantId });
      await requeue(deps, work, held, decision.recheckSeconds);
      return 'blocked';
    case 'wait':
      journal.waiting(decision.name, decision.reason);
      if (decision.soon && (await nap(decision.soon === 'record' ? 'record' : 'look'))) return 'again';
      await requeue(deps, work, held, decision.recheckSeconds);
      return 'waiting';
  }
}

/**
 * Somebody else works on the tenant and may have looked before what this look is about: come back soon. One message
 * stands for all looks that met the same holder; else every message doubled would double again with each round.
 */
async function comeBack(deps: ReconcileDeps, work: Work, tenant: TenantRecord): Promise<void> {
  await lookOnce(deps, tenant, work.duty, busyRetrySeconds);
}

/**
 * Leaves the tenant with word when to look again. When somebody means to look before that anyway, no further message
 * is sent: else every doubled message would live as long as the operation.
 */
async function requeue(deps: ReconcileDeps, work: Work, held: HeldTenant, seconds: number): Promise<void> {
  const now = deps.clock.now();
  const tenant = held.tenant();
  const at = new Date(now.getTime() + seconds * 1000);
  const planned = work.beside ? tenant.recheckBeside : tenant.recheck;
  if (isComing(planned, work.duty, now, at)) return held.release(new Date(planned!.at));
  // Sent first: what the record says to be on its way surely is. It is delayed, so the lease is given back by then.
  await deps.dispatcher.look(tenant.tenantId, work.duty, seconds);
  await held.release(at, { duty: work.duty, at: at.toISOString() });
}

async function handOver(deps: ReconcileDeps, held: HeldTenant, duty: Duty): Promise<LookResult> {
  const now = deps.clock.now().getTime();
  if (duty === 'sweep') {
    await held.release(new Date(now + restMs));
    return 'done';
  }
  await held.release(new Date(now));
  await deps.dispatcher.look(held.tenant().tenantId, duty);
  return 'forwarded';
}

const secondsUntil = (time: string | undefined, now: Date): number =>
  time === undefined ? 1 : Math.max(1, Math.ceil((Date.parse(time) - now.getTime()) / 1000));
