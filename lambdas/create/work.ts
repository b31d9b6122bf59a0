import { createObserver } from '../core/observe.ts';
import { type CreateDeps, createPerformers } from '../core/perform-create.ts';
import { endPerformers } from '../core/perform-end.ts';
import { incarnationPerformers } from '../core/perform-incarnation.ts';
import type { NannyClient } from '../core/ports.ts';
import type { ReconcileDeps, Work } from '../core/reconcile.ts';
import { workPerformers } from '../core/work/perform-work.ts';
import { planCreate } from './plan.ts';

export type CreateWorkDeps = ReconcileDeps & CreateDeps & { readonly nannies: NannyClient };

/** What create brings to the reconcile loop. */
export function createWork(deps: CreateWorkDeps): Work {
  const zones = deps.cell.subnets.map((subnet) => subnet.zone);
  // The name service is not asked here: what it holds is no condition of a step.
  const { cell, clock, runtime, nannies } = deps;
  return {
    duty: 'create',
    plan: (tenant, observation, now) => planCreate(tenant, observation, now, zones),
    observer: () =>
      createObserver(
        { cell, clock, runtime, nannies },
        {
          listTasks: (tenant) =>
            tenant.work !== undefined ||
            Object.values(tenant.members).some((member) => member.state === 'leaving'),
          askNannies: (tenant) => tenant.incarnation.state !== 'gathering',
        },
      ),
    performers: {
      ...createPerformers(deps),
      ...endPerformers(deps),
      ...workPerformers(deps),
      ...incarnationPerformers(deps),
    },
  };
}
