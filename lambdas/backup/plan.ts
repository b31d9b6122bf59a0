import { decideDrill, endDrill } from '../core/backup/drill.ts';
import { isPruneDue } from '../core/backup/due.ts';
import { decideFull } from '../core/backup/full.ts';
import { leftoversOf } from '../core/backup/leftovers.ts';
import { keysOf, retain } from '../core/backup/retention.ts';
import { decideStream } from '../core/backup/stream.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { firstOf, quorumView } from '../core/primitives/index.ts';
import { type Decision, type Observation, step } from '../core/step.ts';

/**
 * Full backups, the change stream behind them, what is kept of both, and their proof. The parts do not wait for each
 * other. Nothing here changes the cluster.
 */
export function planBackup(tenant: TenantRecord, observation: Observation, now: Date): Decision {
  const view = quorumView(tenant, observation, now);
  return (
    endBackup(tenant) ??
    endDrill(tenant) ??
    firstOf(
      decideStream(tenant, observation, now, view),
      decideFull(tenant, observation, now, view),
      decideDrill(tenant, observation, now, view),
      prune(tenant, observation, now),
    ) ?? {
      kind: 'done',
    }
  );
}

/** "Backup now" ends with the backup that was begun for it. */
function endBackup({ operation, backups }: TenantRecord): Decision | undefined {
  if (operation?.kind !== 'backup') return undefined;
  const { operationId } = operation;
  if (backups?.taken?.operationId === operationId) {
    return step({ kind: 'close-operation', message: `Backup ${backups.taken.backupId} is taken.` });
  }
  return backups?.wanted?.operationId === operationId || backups?.running?.operationId === operationId
    ? undefined
    : step({ kind: 'want-backup', reason: 'on-demand', operationId });
}

/** S3 takes a thousand at once; a look has seconds. The rest goes with the next. */
const keysAtOnce = 5_000;

/** What retention lets go of. An empty step says that there was nothing. */
function prune(tenant: TenantRecord, { catalogue }: Observation, now: Date): Decision | undefined {
  if (catalogue === undefined || !isPruneDue(tenant, now)) return undefined;
  const { drop } = retain(catalogue, tenant.spec.backup.pointInTimeHours, now);
  const fulls = drop.backups.slice(0, keysAtOnce);
  const others = [...drop.deltas, ...leftoversOf(catalogue, tenant, now)];
  const taken = others.slice(0, keysAtOnce - fulls.length);
  return step({
    kind: 'prune-backups',
    backupIds: fulls.map(({ backupId }) => backupId),
    keys: [...keysOf(fulls, catalogue.backups), ...taken.map(({ key }) => key)],
    whole: fulls.length + taken.length === drop.backups.length + others.length,
  });
}
