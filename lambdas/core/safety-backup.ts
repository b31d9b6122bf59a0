import { lastOf } from './backup/duty.ts';
import { waitsForFinal } from './backup/final.ts';
import { backupsOfDeletedMs } from './backup/grave.ts';
import { leftoversOf } from './backup/leftovers.ts';
import { keysOf, retain } from './backup/retention.ts';
import type { Grave } from './model/grave.ts';
import type { TenantRecord } from './model/tenant.ts';
import { statusOf } from './primitives/quorum-view.ts';
import type { Rule } from './safety.ts';
import type { Step } from './step.ts';

/** S7: a member whose data is older than what is backed up already gives no backup, and no change stream. */
export const currentSource: Rule = ({ step, tenant, observation }) => {
  if (step.kind !== 'begin-backup' && step.kind !== 'ship-changes') return undefined;
  const revision = statusOf(step.member, tenant, observation)?.self?.revision;
  if (revision === undefined) return `${step.member} does not tell how far it is`;
  const newest = step.kind === 'begin-backup' ? (lastOf(tenant)?.revision ?? 0) : step.afterRevision;
  return revision < newest
    ? `${step.member} is at revision ${revision}, and revision ${newest} of this cluster is backed up already`
    : undefined;
};

/** S7: only what retention lets go of is deleted, and never the newest backup nor the newest proven one. */
export const keptStays: Rule = ({ step, tenant, observation, now }) => {
  if (step.kind !== 'prune-backups') return undefined;
  const { catalogue } = observation;
  if (catalogue === undefined) return 'what there is was not read: nothing is deleted';
  const usable = catalogue.backups.filter(({ damaged }) => damaged === undefined);
  const newest = (some: typeof usable) => [...some].sort((a, b) => (a.contentAt < b.contentAt ? 1 : -1))[0];
  for (const one of [newest(usable), newest(usable.filter(({ proof }) => proof !== undefined))]) {
    if (one === undefined) continue;
    if (step.backupIds.includes(one.backupId) || step.keys.includes(one.key)) {
      return `${one.backupId} is the newest ${one.proof ? 'proven ' : ''}backup: it is never deleted`;
    }
  }
  const { drop } = retain(catalogue, tenant.spec.backup.pointInTimeHours, now);
  const loose = leftoversOf(catalogue, tenant, now);
  const free = new Set([
    ...keysOf(drop.backups, catalogue.backups),
    ...[...drop.deltas, ...loose].map(({ key }) => key),
  ]);
  const kept = step.keys.find((key) => !free.has(key));
  const unknown = step.backupIds.find((id) => !drop.backups.some(({ backupId }) => backupId === id));
  if (kept === undefined && unknown === undefined) return undefined;
  return `${kept ?? unknown} is kept: something that can be restored needs it`;
};

const ends: readonly Step['kind'][] = [
  'deregister-names',
  'stop-tasks',
  'remove-disks',
  'delete-name',
  'remove-record',
];

/** S7: a deletion that is to leave a final backup touches nothing before it is there. */
export const savedBeforeDeleted: Rule = ({ step, tenant }) =>
  waitsForFinal(tenant) && ends.includes(step.kind) ? 'the final backup is not taken yet' : undefined;

/** S7 for a tenant that is no more: only what was deleted long enough ago, and not made again since. */
export function mayClear(
  grave: Grave,
  tenant: TenantRecord | undefined,
  cell: string,
  now: Date,
): string | undefined {
  if (tenant !== undefined) return 'there is a tenant of that name again';
  if (grave.cell !== cell) return `they are in cell ${grave.cell}, and this is ${cell}`;
  return now.getTime() - Date.parse(grave.deletedAt) < backupsOfDeletedMs
    ? `it was deleted at ${grave.deletedAt}, not long enough ago`
    : undefined;
}
