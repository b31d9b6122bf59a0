import { type OperationDeps, operationHands } from '../core/operation-work.ts';
import { type AuthorityDeps, authorityPerformers } from '../core/perform-authority.ts';
import { callForBackupPerformers, wantBackupPerformers } from '../core/perform-backup.ts';
import type { Work } from '../core/reconcile.ts';
import type { VersionGate } from '../core/version-rules.ts';
import { planPatch } from './plan.ts';

export type PatchDeps = OperationDeps & AuthorityDeps & { readonly gate: VersionGate };

/** What patch brings to the reconcile loop. */
export function patchWork(deps: PatchDeps): Work {
  const context = {
    zones: deps.cell.subnets.map((subnet) => subnet.zone),
    taskDefinitions: deps.cell.taskDefinitions,
    gate: deps.gate,
  };
  const hands = operationHands(deps);
  return {
    ...hands,
    duty: 'patch',
    plan: (tenant, observation, now) => planPatch(tenant, observation, now, context),
    performers: {
      ...hands.performers,
      ...authorityPerformers(deps),
      ...wantBackupPerformers(deps),
      ...callForBackupPerformers(deps),
    },
  };
}
