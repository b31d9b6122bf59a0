import { createObserver } from '../core/observe.ts';
import { type OperationDeps, operationAwakeMs, operationHands } from '../core/operation-work.ts';
import { bootstrapPerformers } from '../core/perform-bootstrap.ts';
import { hibernatePerformers } from '../core/perform-hibernate.ts';
import { incarnationPerformers } from '../core/perform-incarnation.ts';
import type { NannyClient } from '../core/ports.ts';
import type { Work } from '../core/reconcile.ts';
import { workPerformers } from '../core/work/perform-work.ts';
import { planRestore } from './plan.ts';

export type RestoreWorkDeps = OperationDeps & { readonly nannies: NannyClient };

/** What restore brings to the reconcile loop. */
export function restoreWork(deps: RestoreWorkDeps): Work {
  const { cell, clock, runtime, nannies, names } = deps;
  const zones = cell.subnets.map((subnet) => subnet.zone);
  return {
    duty: 'restore',
    awakeMs: operationAwakeMs,
    plan: (tenant, observation, now) => planRestore(tenant, observation, now, zones),
    observer: () =>
      createObserver(
        { cell, clock, runtime, nannies, names },
        {
          // A fence has to know of every task, also of those that no record names.
          listTasks: () => true,
          askNannies: (tenant) => tenant.incarnation.state !== 'gathering',
        },
      ),
    performers: {
      ...bootstrapPerformers(deps),
      ...operationHands(deps).performers,
      ...workPerformers(deps),
      ...incarnationPerformers(deps),
      ...hibernatePerformers(deps),
    },
  };
}
