import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, step } from '../step.ts';
import { isLookLost, mayBackUp, withoutTrouble } from './duty.ts';

/** An upload of a small tenant takes a second; somebody who deletes a large one sees how far it is. */
const pollSeconds = 5;
/** In vain for so long: a person has to say whether it is worth more waiting. */
const patienceMs = 10 * 60_000;
/** A deletion waits for the last backup. Gone with the backup, or when a person does without it. */
export const waitsForFinal = ({ status, backups }: TenantRecord): boolean =>
  status.phase === 'deleting' && backups?.wanted?.reason === 'before-delete';

/**
 * The tenant, about to be deleted, wants one more backup. As it is if nobody could give one: it has never formed, sleeps
 * (its snapshot is a backup), or has lost its quorum for good.
 */
export function wantFinal(before: TenantRecord, operationId: string, now: Date): TenantRecord {
  if (!mayBackUp(before)) return before;
  const wanted = { reason: 'before-delete' as const, since: now.toISOString(), operationId };
  return { ...before, backups: { ...withoutTrouble(before.backups ?? {}), wanted } };
}

export function withoutFinal(tenant: TenantRecord): TenantRecord {
  if (!waitsForFinal(tenant)) return tenant;
  const { wanted: _wanted, ...backups } = tenant.backups!;
  return { ...tenant, backups };
}

/** undefined when nothing has to be waited for any more. */
export function awaitFinal(tenant: TenantRecord, now: Date): Decision | undefined {
  if (!waitsForFinal(tenant)) return undefined;
  const { wanted, trouble, running } = tenant.backups!;
  if (isLookLost(tenant, now)) return step({ kind: 'call-for-backup' });
  const waitedMs = now.getTime() - Date.parse(wanted!.since);
  const isStuck = waitedMs > patienceMs && (running === undefined || trouble !== undefined);
  const why = trouble?.reason ?? 'no healthy member with a quorum could be asked';
  return {
    kind: 'wait',
    name: isStuck ? 'no-final-backup' : 'wait-for-final-backup',
    reason: isStuck
      ? `Since ${wanted!.since} no final backup could be taken: ${why}. It is tried on and on. ${doWithout(tenant)}`
      : `The final backup is ${running ? `taken by ${running.member}` : 'on its way'}${trouble ? ` (${trouble.reason})` : ''}. ${doWithout(tenant)}`,
    recheckSeconds: isStuck ? 30 : pollSeconds,
    soon: !isStuck,
  };
}

const doWithout = ({ tenantId }: TenantRecord): string =>
  `To delete without it: nanny delete ${tenantId} --yes --no-final-backup (DELETE with ?finalBackup=false).`;
