import type { TenantRecord } from '../model/tenant.ts';
import type { Decision } from '../step.ts';

/** Expected within seconds: the look stays awake for it. */
export const waitSoon = (name: string, reason: string, recheckSeconds = 2): Decision => ({
  kind: 'wait',
  name,
  reason,
  recheckSeconds,
  soon: true,
});

export const waitLong = (name: string, reason: string, recheckSeconds: number): Decision => ({
  kind: 'wait',
  name,
  reason,
  recheckSeconds,
});

/**
 * For parts that do not depend on each other: the first that has a step to take goes on while others wait; when all
 * wait, the first wait is told.
 */
export function firstOf(...decisions: readonly (Decision | undefined)[]): Decision | undefined {
  return decisions.find((decision) => decision?.kind === 'step') ?? decisions.find((decision) => decision);
}

/** The last attempt failed a moment ago: say why, and when the next one is. */
export function backingOff(tenant: TenantRecord, now: Date): Decision | undefined {
  const { backoff } = tenant;
  if (backoff === undefined) return undefined;
  const left = Date.parse(backoff.until) - now.getTime();
  if (left <= 0) return undefined;
  return waitLong(
    'back-off',
    `attempt ${backoff.failures} failed (${backoff.reason}); trying again at ${backoff.until}`,
    Math.ceil(left / 1000),
  );
}
