import type { Clock } from './ports.ts';

/** What we use of Lambda's context. */
export interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

/** Kept back for giving the lease back and writing the journal. */
const reserveMs = 3_000;

export const deadlineOf = (context: InvocationContext, clock: Pick<Clock, 'now'>): Date =>
  new Date(clock.now().getTime() + context.getRemainingTimeInMillis() - reserveMs);
