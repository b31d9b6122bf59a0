import { createObserver, type Observer } from '../core/observe.ts';
import { callForBackupPerformers } from '../core/perform-backup.ts';
import { removeDisksPerformers } from '../core/perform-disks.ts';
import { type EndDeps, endPerformers } from '../core/perform-end.ts';
import type { Volumes } from '../core/ports.ts';
import type { ReconcileDeps, Work } from '../core/reconcile.ts';
import { planDelete } from './plan.ts';

export type DeleteWorkDeps = ReconcileDeps & EndDeps & { readonly volumes: Pick<Volumes, 'list' | 'remove'> };

/** What delete brings to the reconcile loop. It asks no nanny: whatever they say, they go. */
export function deleteWork(deps: DeleteWorkDeps): Work {
  return {
    duty: 'delete',
    plan: planDelete,
    observer: () => withDisks(deps, createObserver(deps, { listTasks: () => true })),
    performers: {
      ...endPerformers(deps),
      ...removeDisksPerformers(deps),
      ...callForBackupPerformers(deps),
    },
  };
}

/** Disks, once no task is left that could have one. */
function withDisks({ cell, volumes }: DeleteWorkDeps, observer: Observer): Observer {
  return {
    forget: observer.forget,
    async observe(tenant) {
      const observation = await observer.observe(tenant);
      const alive = Object.values(observation.tasks).some((task) => task.lastStatus !== 'STOPPED');
      return alive ? observation : { ...observation, disks: await volumes.list(cell, tenant.tenantId) };
    },
  };
}
