import { createObserver } from './observe.ts';
import { endPerformers } from './perform-end.ts';
import { type LaunchDeps, launchPerformers } from './perform-launch.ts';
import { type MemberDeps, memberPerformers } from './perform-members.ts';
import { remediationPerformers } from './perform-remediation.ts';
import { settlePerformers } from './perform-settle.ts';
import type { NameRegistry, TaskRuntime } from './ports.ts';
import type { ReconcileDeps, Work } from './reconcile.ts';

export type OperationDeps = ReconcileDeps &
  LaunchDeps &
  MemberDeps & { readonly runtime: TaskRuntime; readonly names: NameRegistry };

/** etcd's 5 s of refusals after a change are worth staying awake for: waking up costs more. */
export const operationAwakeMs = 20_000;

/** Eyes and hands of everything that works on a formed cluster. */
export function operationHands(deps: OperationDeps): Pick<Work, 'observer' | 'performers' | 'awakeMs'> {
  const { cell, clock, runtime, nannies, names } = deps;
  return {
    awakeMs: operationAwakeMs,
    observer: () =>
      createObserver(
        { cell, clock, runtime, nannies, names },
        {
          listTasks: (tenant) => Object.values(tenant.members).some((member) => member.state === 'leaving'),
          askNannies: () => true,
        },
      ),
    performers: {
      ...launchPerformers(deps),
      ...memberPerformers(deps),
      ...settlePerformers(deps),
      ...endPerformers(deps),
      ...remediationPerformers(deps),
    },
  };
}
