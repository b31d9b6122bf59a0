import type { Decision } from '../step.ts';

/** Expected within seconds: the look stays awake for it. */
export const waitSoon = (name: string, reason: string, recheckSeconds = 2): Decision => ({
  kind: 'wait',
  name,
  reason,
  recheckSeconds,
  soon: true,
});

/** The same for what somebody else writes into the record: only that is watched, nobody is asked meanwhile. */
export const waitForRecord = (name: string, reason: string, recheckSeconds: number): Decision => ({
  kind: 'wait',
  name,
  reason,
  recheckSeconds,
  soon: 'record',
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
