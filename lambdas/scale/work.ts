import { type OperationDeps, operationHands } from '../core/operation-work.ts';
import type { Work } from '../core/reconcile.ts';
import { planScale } from './plan.ts';

/** What scale brings to the reconcile loop. */
export function scaleWork(deps: OperationDeps): Work {
  const context = {
    zones: deps.cell.subnets.map((subnet) => subnet.zone),
    taskDefinitions: deps.cell.taskDefinitions,
  };
  return {
    duty: 'scale',
    plan: (tenant, observation, now) => planScale(tenant, observation, now, context),
    ...operationHands(deps),
  };
}
