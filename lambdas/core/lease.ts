import { dutyOf } from './duty.ts';
import { ConflictError, LeaseLostError } from './errors.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Clock, Duty, TenantStore } from './ports.ts';
import type { Mutation } from './step.ts';

/**
 * How long a holder may be silent before somebody else takes over. Every save renews the lease, and so does a heartbeat
 * while a step takes its time; so it only has to be longer than a hiccup, and a function that died holds a tenant up no
 * longer than this. A holder that was only slow is harmless: steps are idempotent, and its saves are refused.
 */
export const leaseMs = 8_000;

const heartbeatMs = 1_000;
/** The heartbeat renews below this. */
const renewBelowMs = 5_000;

const conflictAttempts = 12;

export interface LeaseDeps {
  readonly store: TenantStore;
  readonly clock: Clock;
}

export type Acquired =
  | { readonly kind: 'held'; readonly held: HeldTenant }
  | { readonly kind: 'busy'; readonly tenant: TenantRecord }
  | { readonly kind: 'gone' }
  | { readonly kind: 'other-duty'; readonly duty: Duty };

/** A tenant whose lease we hold. `tenant()` is the newest record that we know. */
export interface HeldTenant {
  tenant(): TenantRecord;
  readonly fence: number;
  /** Reads the record again. @throws LeaseLostError */
  refresh(): Promise<void>;
  /**
   * Saves `mutate` of the newest record, again after each conflict (the join function writes the same record), never
   * after the lease was lost or the tenant became another function's duty.
   * @returns whether something was saved; false: no longer applies. @throws LeaseLostError
   */
  save(mutate: Mutation, options?: { anyDuty?: boolean }): Promise<boolean>;
  /** Makes sure that the lease is ours and will be for some seconds. @throws LeaseLostError */
  ensure(): Promise<void>;
  /** `recheck`: a message has been or is being sent for then. */
  release(nextCheckAt: Date, recheck?: TenantRecord['recheck']): Promise<void>;
  /** Saves a last mutation and releases in one write. */
  finish(mutate: (tenant: TenantRecord) => TenantRecord, nextCheckAt: Date): Promise<void>;
  /** Lets the lease run out; for a holder that cannot go on. */
  abandon(): void;
  /** Deletes the record while the lease is ours. @throws LeaseLostError */
  remove(): Promise<void>;
}

/** A holder that died leaves its lease on the record: once it has run out, it means nothing. */
export const isLeased = ({ lease }: TenantRecord, now: Date): boolean =>
  lease !== undefined && Date.parse(lease.expiresAt) > now.getTime();

const iso = (at: number): string => new Date(at).toISOString();

export async function acquire(
  deps: LeaseDeps,
  tenantId: string,
  holder: string,
  duty: Duty,
): Promise<Acquired> {
  for (let attempt = 1; ; attempt++) {
    const stored = await deps.store.get(tenantId);
    if (stored === undefined) return { kind: 'gone' };
    if (dutyOf(stored) !== duty) return { kind: 'other-duty', duty: dutyOf(stored) };
    const now = deps.clock.now().getTime();
    if (isLeased(stored, deps.clock.now())) {
      return { kind: 'busy', tenant: stored };
    }
    const fence = stored.fence + 1;
    const tenant: TenantRecord = {
      ...stored,
      recordVersion: stored.recordVersion + 1,
      fence,
      lease: { holder, fence, expiresAt: iso(now + leaseMs) },
      // After a crash the sweep finds the tenant as soon as the lease has run out.
      nextCheckAt: iso(now + leaseMs),
    };
    try {
      await deps.store.save(tenant, stored.recordVersion);
      return { kind: 'held', held: hold(deps, tenant, fence, duty) };
    } catch (error) {
      if (!(error instanceof ConflictError) || attempt >= conflictAttempts) throw error;
    }
  }
}

function hold(deps: LeaseDeps, acquired: TenantRecord, fence: number, duty: Duty): HeldTenant {
  const holder = acquired.lease!.holder;
  const tenantId = acquired.tenantId;
  let current = acquired;
  let over = false;
  let queue: Promise<unknown> = Promise.resolve();

  /** Heartbeat and work take turns, so that neither meets its own other half as a conflict. */
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const turn = queue.then(run);
    queue = turn.catch(() => undefined);
    return turn;
  };

  const read = async (): Promise<TenantRecord> => {
    const stored = await deps.store.get(tenantId);
    if (stored?.lease?.holder !== holder || stored.lease.fence !== fence) {
      throw new LeaseLostError(`Another function works on ${tenantId} now. It goes on from here.`);
    }
    return stored;
  };

  const write = (mutate: Mutation, options: { anyDuty?: boolean } = {}): Promise<boolean> =>
    inTurn(() => writeNow(mutate, options));

  const writeNow = async (mutate: Mutation, options: { anyDuty?: boolean }): Promise<boolean> => {
    for (let attempt = 1; ; attempt++) {
      if (attempt > 1) current = await read();
      if (!options.anyDuty && dutyOf(current) !== duty) return false;
      const mutated = mutate(current);
      if (mutated === undefined) return false;
      const next = { ...mutated, recordVersion: current.recordVersion + 1 };
      try {
        await deps.store.save(next, current.recordVersion);
        current = next;
        return true;
      } catch (error) {
        if (!(error instanceof ConflictError) || attempt >= conflictAttempts) throw error;
      }
    }
  };

  const renewed = (tenant: TenantRecord): TenantRecord => {
    const now = deps.clock.now().getTime();
    return {
      ...tenant,
      lease: { holder, fence, expiresAt: iso(now + leaseMs) },
      nextCheckAt: iso(now + leaseMs),
    };
  };

  const renew = async (): Promise<void> => {
    const left = Date.parse(current.lease!.expiresAt) - deps.clock.now().getTime();
    if (left < renewBelowMs) await writeNow(renewed, { anyDuty: true });
  };

  const beat = async (): Promise<void> => {
    for (;;) {
      await deps.clock.sleep(heartbeatMs);
      if (over) return;
      await inTurn(async () => {
        if (!over) await renew();
      });
    }
  };
  // What goes wrong here the next save will meet too, and say.
  beat().catch(() => undefined);

  const end = async (last: Mutation): Promise<void> => {
    over = true;
    await write(last, { anyDuty: true });
  };

  return {
    tenant: () => current,
    fence,
    refresh: () =>
      inTurn(async () => {
        current = await read();
      }),
    save: (mutate, options) =>
      write((tenant) => {
        const mutated = mutate(tenant);
        return mutated && renewed(mutated);
      }, options),
    ensure: () => inTurn(renew),
    release: (nextCheckAt, recheck) => {
      const planned = recheck && { recheck };
      return end((tenant) => ({ ...released(tenant, nextCheckAt), ...planned }));
    },
    finish: (mutate, nextCheckAt) => end((tenant) => released(mutate(tenant), nextCheckAt)),
    abandon: () => {
      over = true;
    },
    remove: () => {
      over = true;
      return inTurn(async () => {
        for (let attempt = 1; ; attempt++) {
          if (attempt > 1) current = await read();
          try {
            return await deps.store.remove(tenantId, current.recordVersion);
          } catch (error) {
            if (!(error instanceof ConflictError) || attempt >= conflictAttempts) throw error;
          }
        }
      });
    },
  };
}

const released = ({ lease: _lease, ...tenant }: TenantRecord, nextCheckAt: Date): TenantRecord => ({
  ...tenant,
  nextCheckAt: nextCheckAt.toISOString(),
});
