import { withBackoff } from './backoff.ts';
import { graveOf } from './backup/grave.ts';
import { LeaseLostError } from './errors.ts';
import type { Journal } from './journal.ts';
import type { HeldTenant } from './lease.ts';
import type { TenantRecord } from './model/tenant.ts';
import { perform } from './perform.ts';
import type { Clock, Dispatcher, Log, TenantStore } from './ports.ts';
import type { Work } from './reconcile.ts';
import type { Observation, Step } from './step.ts';

/** A tenant whose operation has ended is looked at by the sweep soon: did it stay well? */
const firstSweepMs = 60_000;

export interface TakeDeps {
  readonly store: TenantStore;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly log: Log;
}

/** Does one step and saves what it came to. `ended`: lease given back or record gone. `failed`: to be tried again after the record's back-off */
export async function takeStep(
  deps: TakeDeps,
  held: HeldTenant,
  journal: Journal,
  wanted: Step,
  { performers, beside }: Pick<Work, 'performers' | 'beside'>,
  observation: Observation,
): Promise<'again' | 'failed' | 'ended'> {
  const startedAt = deps.clock.now();
  const tenant = held.tenant();
  if (wanted.kind === 'close-operation') {
    // Written before the record lets go of it: after a crash in between it is closed once more.
    await journal.close(wanted.failed ? 'failed' : 'succeeded', wanted.message, wanted.report);
    let isOurs = false;
    await held.finish(
      (stored) => {
        const { operation, ...rest } = stored;
        isOurs = operation !== undefined && operation.operationId === tenant.operation?.operationId;
        return isOurs ? rest : stored;
      },
      new Date(deps.clock.now().getTime() + firstSweepMs),
    );
    if (isOurs && wanted.failed) journal.countFailure();
    return 'ended';
  }
  if (wanted.kind === 'remove-record') {
    await closeOtherOperations(deps, tenant);
    journal.event('done', 'The tenant is deleted.');
    await journal.close('succeeded', 'The tenant is deleted.');
    await deps.store.bury(graveOf(tenant, deps.clock.now()));
    // Before the record goes: the next tenant of this name takes its place when there is no record, and keeps it.
    await deps.store.leavePlace(tenant.cell, tenant.tenantId);
    await held.remove();
    // Lost, the alarms go with the next search for those that are nobody's.
    await deps.dispatcher.look(tenant.tenantId, 'alarms');
    return 'ended';
  }
  try {
    // Written before the record lets go of it, as above.
    if (wanted.kind === 'end-remediation') await journal.close('succeeded', wanted.message);
    const outcome = await perform(performers, wanted, { tenant, observation, now: startedAt });
    if (outcome.mutate !== undefined && outcome.notYet === undefined) {
      const saved = await held.save(outcome.mutate, { anyDuty: outcome.recordsWhatExists ?? false });
      // Two looks beside each other did the same: whoever wrote it down tells it.
      if (beside !== undefined && !saved) return 'again';
    }
    if (wanted.kind === 'begin-remediation' && tenant.remediation !== undefined) journal.retitle(wanted.what);
    if (outcome.notYet !== undefined) {
      journal.waiting(wanted.kind, outcome.notYet);
    } else if (wanted.kind === 'end-remediation') {
      // Its operation is closed: nothing may be written to it any more.
      journal.event('done', outcome.message);
    } else if (outcome.failure === undefined) {
      journal.done(wanted.kind, outcome.message, startedAt, outcome.event);
    } else {
      journal.failed(wanted.kind, outcome.failure, startedAt);
      return 'failed';
    }
    return 'again';
  } catch (error) {
    if (error instanceof LeaseLostError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    deps.log.warn(`${wanted.kind} failed`, { tenantId: tenant.tenantId, error: reason });
    const told = beside?.failure(held.tenant())?.reason;
    const noted = beside?.withFailure ?? withBackoff;
    await held.save((stored) => noted(stored, `${wanted.kind}: ${reason}`, startedAt));
    // Without an operation there is nothing that shows the same failure to have been told already.
    const again = told !== undefined && told === beside?.failure(held.tenant())?.reason;
    if (!again || tenant.operation !== undefined) journal.failed(wanted.kind, reason, startedAt);
    return 'failed';
  }
}

/** An operation that delete has overtaken would stay `running` in people's eyes for ever. */
async function closeOtherOperations(deps: TakeDeps, tenant: TenantRecord): Promise<void> {
  const { items } = await deps.store.listOperations(tenant.tenantId, { limit: 20 });
  const at = deps.clock.now().toISOString();
  await Promise.all(
    items
      .filter((operation) => operation.operationId !== tenant.operation?.operationId)
      .filter((operation) => operation.state === 'pending' || operation.state === 'running')
      .map((operation) =>
        deps.store.putOperation({
          ...operation,
          state: 'failed',
          message: 'The tenant was deleted before this was finished.',
          updatedAt: at,
          endedAt: at,
        }),
      ),
  );
}
