import { readCatalogue } from '../core/backup/catalogue.ts';
import { needsCatalogue } from '../core/backup/due.ts';
import { mayBackUp } from '../core/backup/duty.ts';
import { clearGrave, type GraveDeps } from '../core/backup/grave.ts';
import { createObserver } from '../core/observe.ts';
import { type BackupDeps, backupFailure, backupPerformers } from '../core/perform-backup.ts';
import { type DrillDeps, drillPerformers } from '../core/perform-drill.ts';
import type { BackupObjects, NannyClient, TaskRuntime } from '../core/ports.ts';
import { type ReconcileDeps, reconcile, type Work } from '../core/reconcile.ts';
import { planBackup } from './plan.ts';

export type BackupWorkDeps = ReconcileDeps &
  BackupDeps &
  DrillDeps & {
    readonly runtime: TaskRuntime;
    readonly nannies: NannyClient;
    readonly objects: BackupObjects;
  };

const youngMs = 20_000;

/** What backup brings to the reconcile loop. It works beside the others: see core/beside.ts. */
export function backupWork(deps: BackupWorkDeps): Work {
  const { cell, clock, runtime, nannies } = deps;
  return {
    duty: 'backup',
    plan: planBackup,
    beside: { mayWork: mayBackUp, ...backupFailure },
    // A small backup is done within seconds; a large one is followed by looks of their own.
    awakeMs: 3_000,
    pollMs: 500,
    repeatSeconds: ({ backups }, now) =>
      now.getTime() - Date.parse(backups?.running?.startedAt ?? now.toISOString()) < youngMs ? 1 : 8,
    observer: () => {
      const members = createObserver({ cell, clock, runtime, nannies }, { askNannies: () => true });
      return {
        ...members,
        async observe(tenant) {
          const seen = await members.observe(tenant);
          if (!needsCatalogue(tenant, clock.now())) return seen;
          return { ...seen, catalogue: await readCatalogue(deps, cell.id, tenant.tenantId) };
        },
      };
    },
    performers: { ...backupPerformers(deps), ...drillPerformers(deps) },
  };
}

/** Also at those of a tenant that is no more. */
export async function lookAtBackups(
  deps: ReconcileDeps & GraveDeps,
  work: Work,
  tenantId: string,
  deadline: Date,
): Promise<string> {
  const seen = await reconcile(deps, work, tenantId, deadline);
  const cleared = await clearGrave(deps, tenantId);
  return cleared === 'no-grave' ? seen : cleared;
}
