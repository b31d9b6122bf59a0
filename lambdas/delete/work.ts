import { createObserver } from '../core/observe.ts';
import { type EndDeps, endPerformers } from '../core/perform-end.ts';
import type { ReconcileDeps, Work } from '../core/reconcile.ts';
import { planDelete } from './plan.ts';

/** What delete brings to the reconcile loop. It asks no nanny: whatever they say, they go. */
export function deleteWork(deps: ReconcileDeps & EndDeps): Work {
  return {
    duty: 'delete',
    plan: planDelete,
    observer: () => createObserver(deps, { listTasks: () => true }),
    performers: endPerformers(deps),
  };
}
