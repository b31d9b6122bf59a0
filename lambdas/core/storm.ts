import type { TenantRecord } from './model/tenant.ts';
import type { Log, TenantStore } from './ports.ts';
import { isFromStore } from './remediation/from-store.ts';
import type { Verdict } from './safety.ts';
import type { Step } from './step.ts';

/** More than this share of a cell's tenants turn sick within `stormWindowMs`: rather the detector is wrong than they. */
const stormShare = 0.2;
const stormWindowMs = 5 * 60_000;
/** One or two tenants of a small cell are no storm, whatever their share. */
const stormFloor = 3;
/** A storm is over when that long no new one came up, or when tenants are well again. */
const stormHoldMs = 30 * 60_000;

/** Destructive steps a minute and cell (S8). Ten thousand tenants with a zone out are healed in hours, not at once. */
export const destructivePerMinute = 30;

export interface SickTenant {
  readonly tenantId: string;
  /** When it turned sick, ISO. Tenants that are well again are not in the list. */
  readonly since: string;
}

/** Whether so many of the cell's `tenants` turned sick close together, in the last half hour, and still are. */
export function isStorm(sick: readonly SickTenant[], tenants: number, now: Date): boolean {
  const times = sick
    .map(({ since }) => Date.parse(since))
    .filter((since) => now.getTime() - since <= stormHoldMs)
    .sort((a, b) => a - b);
  const most = Math.max(
    0,
    ...times.map((from) => times.filter((at) => at >= from && at <= from + stormWindowMs).length),
  );
  return most >= stormFloor && most > tenants * stormShare;
}

/** Steps after which there is less of a cluster than before. */
export function isDestructive(step: Step, tenant: TenantRecord): boolean {
  if (step.kind === 'remove-member') return tenant.members[step.member]?.state === 'voting';
  return step.kind === 'begin-remediation' && step.what === 'recover';
}

export type FleetStore = Pick<TenantStore, 'takeDestructiveToken' | 'sickTenants' | 'countInCell'>;

/** What replaces a tenant of which nobody is left: harmful if they are there after all. Kinds of its steps. */
const rebuilding: readonly Step['kind'][] = [
  'copy-disks',
  'order-work',
  'launch-work',
  'retry-work',
  'deregister-names',
  'stop-tasks',
  'new-incarnation',
];

/** Recovery from disks or a backup, because no member is left; with one left, whoever restores it has met it alive. */
const rebuilds = (step: Step, { remediation, incarnation }: TenantRecord): boolean =>
  rebuilding.includes(step.kind) &&
  isFromStore(remediation?.recovery) &&
  remediation?.recovery?.incarnation === incarnation.number;

/**
 * S8, the one rule that needs more than one tenant: in a storm only quorum-loss recovery goes on, and at all times
 * destructive steps of a cell are few a minute. A tenant that has wholly vanished in a storm is only made anew of its
 * disks or backup when a person agrees: it may well be there. Asked after `checkStep` and right before a step is done.
 */
export async function checkFleet(
  deps: { readonly store: FleetStore; readonly log: Log },
  step: Step,
  tenant: TenantRecord,
  now: Date,
): Promise<Verdict> {
  const { cell, tenantId } = tenant;
  const vanished = rebuilds(step, tenant);
  const standsIn = step.kind === 'request-members' && step.insteadOf !== undefined;
  if (!vanished && !standsIn && !isDestructive(step, tenant)) return { allowed: true };
  const refuse = (reason: string): Verdict => ({ allowed: false, rule: 'S8', reason });
  if (step.kind === 'remove-member' || standsIn || (vanished && tenant.remediation?.approved !== true)) {
    const storm = await stormIn(deps.store, cell, now);
    if (storm !== undefined) {
      const reason = vanished
        ? `quorum is lost and nobody is left, but ${storm}: nothing takes its place until a person agrees (nanny approve ${tenantId}), or for 30 minutes`
        : `${storm}: only quorum-loss recovery goes on until a person has looked, or for 30 minutes`;
      deps.log.error(reason, { page: true, rule: 'S8', cell, tenantId });
      return refuse(reason);
    }
  }
  if (!isDestructive(step, tenant)) return { allowed: true };
  // The same step asked for again (etcd refused for a moment, a crash) is not counted twice.
  const key = `${tenantId} ${step.kind} ${step.kind === 'remove-member' ? step.member : ''}`.trim();
  if (await deps.store.takeDestructiveToken(cell, key, now)) return { allowed: true };
  return refuse(
    `cell ${cell} has done ${destructivePerMinute} destructive steps within a minute; this one waits`,
  );
}

/** The storm that goes on in the cell, in words. */
async function stormIn(
  store: Pick<FleetStore, 'sickTenants' | 'countInCell'>,
  cell: string,
  now: Date,
): Promise<string | undefined> {
  const sick = await store.sickTenants(cell);
  if (sick.length < stormFloor) return undefined;
  const tenants = await store.countInCell(cell);
  return isStorm(sick, tenants, now)
    ? `${sick.length} of ${tenants} tenants of cell ${cell} turned sick within minutes`
    : undefined;
}

/**
 * Says on the record that a storm holds the recovery up, so that a person is asked; and that it does so no longer.
 *
 * @returns undefined when it says so already
 */
export function noteHeld(tenant: TenantRecord, step: Step, { allowed }: Verdict): TenantRecord | undefined {
  const { remediation } = tenant;
  if (remediation?.recovery === undefined || !rebuilds(step, tenant)) return undefined;
  const { heldInStorm, ...recovery } = remediation.recovery;
  if ((heldInStorm ?? false) === !allowed) return undefined;
  return {
    ...tenant,
    remediation: { ...remediation, recovery: { ...recovery, ...(!allowed && { heldInStorm: true }) } },
  };
}

/** The grants of a cell's bucket after one more, or undefined when there is none left. Pure, for every store. */
export function grantToken(
  grants: Readonly<Record<string, string>>,
  key: string,
  now: Date,
): Record<string, string> | undefined {
  const at = now.getTime();
  const kept = Object.fromEntries(
    Object.entries(grants).filter(([, since]) => at - Date.parse(since) < grantKeptMs),
  );
  if (key in kept) return kept;
  const recent = Object.values(kept).filter((since) => at - Date.parse(since) < 60_000).length;
  return recent < destructivePerMinute ? { ...kept, [key]: now.toISOString() } : undefined;
}

/** A step that is tried again within that time needs no second token. */
const grantKeptMs = 10 * 60_000;
