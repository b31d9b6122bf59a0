import { aheadInWave, placeOf } from '../../core/fleet-order.ts';
import { type Standing, standingOf } from '../../core/fleet-tenant.ts';
import { type Rollout, waves } from '../../core/model/rollout.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import type { VersionGate } from '../../core/version-rules.ts';

/** Who has stopped a fleet patch, when nobody did. */
export const stoppedByItself = 'etcd-nanny';

/** Tenants that are patched at the same time: what goes wrong goes wrong for so many. */
export const parallel = 10;
/** A patch of five members takes about a minute; an etcd with much data some more for each. */
const stuckAfterMs = 60 * 60_000;
const eventsKept = 100;

export interface FleetView {
  /** All tenants there are. */
  readonly tenantIds: readonly string[];
  /** Of those that matter now (`readsFor`); undefined: there is no such tenant any more. */
  readonly tenants: ReadonlyMap<string, TenantRecord | undefined>;
  /** Tenants that are sick now, whoever they are. */
  readonly sick: readonly { readonly tenantId: string; readonly since: string }[];
}

export interface FleetTurn {
  readonly rollout: Rollout;
  /** To be given their patch; each is among `patching` already, so that a crash forgets nobody. */
  readonly start: readonly string[];
  /** It stops by itself, for this reason. */
  readonly stops?: string;
}

/** Whose records a turn has to see. */
export const readsFor = (rollout: Rollout, view: Pick<FleetView, 'tenantIds' | 'sick'>): string[] => [
  ...new Set([
    ...rollout.patching.map(({ tenantId }) => tenantId),
    ...rollout.held.map(({ tenantId }) => tenantId),
    ...view.sick.map(({ tenantId }) => tenantId),
    ...aheadInWave(rollout, view.tenantIds).slice(0, 2 * parallel),
  ]),
];

/** What a running rollout does next, given how its tenants are. */
export function planFleet(rollout: Rollout, view: FleetView, gate: VersionGate, now: Date): FleetTurn {
  const standing = (tenantId: string): Standing => standingOf(view.tenants.get(tenantId), rollout, gate, now);
  const regression = regressionIn(rollout, view, standing, now);
  if (regression !== undefined) {
    const at = now.toISOString();
    const message = `Stopped: ${regression}.`;
    const stopped = { at, by: stoppedByItself, reason: regression };
    return {
      rollout: tell({ ...rollout, state: 'stopped', stopped }, message, now),
      start: [],
      stops: regression,
    };
  }
  const settled = settle(rollout, standing);
  const taken = takeUp(settled, view, standing, now);
  return taken.start.length > 0 || taken.rollout.patching.length > 0
    ? taken
    : { ...taken, rollout: proceed(taken.rollout, view, now) };
}

/** Has the rollout made anybody sick? Whoever it has patched or is at counts, whatever the reason may be. */
function regressionIn(
  rollout: Rollout,
  { sick }: FleetView,
  standing: (tenantId: string) => Standing,
  now: Date,
): string | undefined {
  for (const { tenantId, since } of rollout.patching) {
    const is = standing(tenantId);
    if (is.is === 'sick') return `${tenantId} is not well: ${is.reason}`;
    if (is.is === 'patching' && now.getTime() - Date.parse(since) > stuckAfterMs) {
      return `the patch of ${tenantId} has not ended within ${stuckAfterMs / 60_000} minutes`;
    }
  }
  for (const { tenantId, since } of sick) {
    if (since < rollout.createdAt || placeOf(rollout, tenantId) > rollout.reached) continue;
    const is = standing(tenantId);
    if (is.is === 'sick') return `${tenantId}, which runs ${rollout.version}, is not well: ${is.reason}`;
  }
  return undefined;
}

/** Those whose patch has ended, well. */
function settle(rollout: Rollout, standing: (tenantId: string) => Standing): Rollout {
  const over = rollout.patching.filter(
    ({ tenantId }) => !['patching', 'ready'].includes(standing(tenantId).is),
  );
  const done = over.filter(({ tenantId }) => standing(tenantId).is === 'patched').length;
  const held = over.flatMap((each) => {
    const is = standing(each.tenantId);
    return is.is === 'held' ? [{ ...each, reason: is.reason }] : [];
  });
  return {
    ...rollout,
    patching: rollout.patching.filter((each) => !over.includes(each)),
    held: [...rollout.held, ...held],
    patchedInWave: rollout.patchedInWave + done,
    patched: rollout.patched + done,
    passedOver: rollout.passedOver + over.length - done - held.length,
  };
}

/** Held ones whose hour has come, then the next of the wave. */
function takeUp(
  rollout: Rollout,
  view: FleetView,
  standing: (tenantId: string) => Standing,
  now: Date,
): { rollout: Rollout; start: string[] } {
  const since = now.toISOString();
  const patching = [...rollout.patching];
  const start = patching.flatMap(({ tenantId }) => (standing(tenantId).is === 'ready' ? [tenantId] : []));
  let { reached, passedOver, patched } = rollout;
  const held: Rollout['held'] = [];
  const take = (tenantId: string, heldSince = since): boolean => {
    const is = standing(tenantId);
    if (is.is === 'held') held.push({ tenantId, since: heldSince, reason: is.reason });
    else if (is.is === 'ready') {
      if (patching.length >= parallel) return false;
      patching.push({ tenantId, since });
      start.push(tenantId);
    } else if (is.is === 'patching') patching.push({ tenantId, since });
    else passedOver += 1;
    return true;
  };
  for (const each of rollout.held) {
    if (!take(each.tenantId, each.since)) held.push(each);
  }
  for (const tenantId of aheadInWave(rollout, view.tenantIds).slice(0, 2 * parallel)) {
    if (!take(tenantId)) break;
    reached = placeOf(rollout, tenantId);
  }
  const next = { ...rollout, patching, held, reached, passedOver, patched };
  return { rollout: start.length > 0 ? tell(next, `Patching ${start.join(', ')}.`, now) : next, start };
}

/** Nothing is being patched and nothing can be: the wave bakes, the next one begins, or all is done. */
function proceed(rollout: Rollout, view: FleetView, now: Date): Rollout {
  if (aheadInWave(rollout, view.tenantIds).length > 0) return rollout;
  const { name } = waves[rollout.wave]!;
  const last = rollout.wave === waves.length - 1;
  if (last) {
    // A window may be days away: until then it goes on, without doing anything.
    if (rollout.held.length > 0) return rollout;
    const message = `Done: ${rollout.patched} tenants patched, ${rollout.passedOver} passed over.`;
    return tell({ ...rollout, state: 'done' }, message, now);
  }
  // A wave of which nobody could be patched yet has shown nothing.
  if (rollout.patchedInWave === 0 && rollout.held.length > 0) return rollout;
  const { bakingSince = now.toISOString(), ...rest } = rollout;
  const bakedAt = Date.parse(bakingSince) + rollout.bakeMinutes * 60_000;
  if (rollout.patchedInWave > 0 && now.getTime() < bakedAt) {
    if (rollout.bakingSince !== undefined) return rollout;
    const until = new Date(bakedAt).toISOString();
    return tell({ ...rollout, bakingSince }, `Wave ${name} is patched; watched until ${until}.`, now);
  }
  const wave = rollout.wave + 1;
  return tell({ ...rest, wave, patchedInWave: 0 }, `Wave ${waves[wave]!.name} begins.`, now);
}

export const tell = (rollout: Rollout, message: string, now: Date): Rollout => ({
  ...rollout,
  events: [...rollout.events, { at: now.toISOString(), message }].slice(-eventsKept),
});
