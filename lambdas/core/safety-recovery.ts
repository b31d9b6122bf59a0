import { membersOf } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import { isBetterSource, survivorsOf } from './remediation/survivor.ts';
import type { Rule, SafetyContext } from './safety.ts';
import { quorumLoss } from './sickness.ts';
import { taskState } from './step.ts';

/** S5, S6 and S7: a new incarnation is made only of what was saved, after everybody of the old one is surely gone. */

/** However sure ECS is: a moment for what is under way to arrive. */
export const certainConfirmMs = 5_000;

/** How long a loss of quorum has to last before it counts. */
export const confirmMs = (tenant: TenantRecord, certain: boolean): number => {
  const wanted = tenant.spec.quorumLossConfirmSeconds * 1000;
  return certain ? Math.min(certainConfirmMs, wanted) : wanted;
};

const recoveryOf = ({ remediation, incarnation }: TenantRecord) =>
  remediation?.kind === 'recover' && remediation.recovery?.incarnation === incarnation.number
    ? remediation.recovery
    : undefined;

/** The old cluster's tasks are being stopped: a recovery was decided, and what it starts from is safe. */
export const isFencing = (tenant: TenantRecord): boolean => recoveryOf(tenant)?.source !== undefined;

export const recoverSafely: Rule = (context) => {
  const { step, tenant } = context;
  switch (step.kind) {
    case 'begin-remediation':
      return step.what === 'recover' ? notLost(context) : undefined;
    case 'save-survivor': {
      const recovery = recoveryOf(tenant);
      if (recovery === undefined) return 'no recovery was decided for this incarnation';
      const byPerson = tenant.spec.recovery === 'approve' || recovery.mustBeApproved;
      if (byPerson && !tenant.remediation?.approved) return 'a person has to agree to the recovery first';
      return notLost(context);
    }
    case 'stop-tasks': {
      if (!isFencing(tenant) || tenant.incarnation.state !== 'formed') return undefined;
      return quorumLoss(tenant, context.observation, context.now) === undefined
        ? 'a majority of the members is there: nobody is fenced'
        : undefined;
    }
    case 'new-incarnation':
      return notFenced(context, step.source.key);
    default:
      return undefined;
  }
};

function notLost({ tenant, observation, now }: SafetyContext): string | undefined {
  const loss = quorumLoss(tenant, observation, now);
  if (loss === undefined) return 'no majority of the members is known to be lost';
  const since = tenant.remediation?.quorumLostSince;
  const wanted = confirmMs(tenant, loss.certain);
  return since === undefined || now.getTime() - Date.parse(since) < wanted
    ? `quorum has not been lost for ${wanted / 1000} s yet`
    : undefined;
}

function notFenced({ tenant, observation, now }: SafetyContext, key: string): string | undefined {
  if (recoveryOf(tenant)?.source?.key !== key) return `${key} is not what this recovery saved`;
  const alive = membersOf(tenant).filter(
    (member) => !['none', 'stopped'].includes(taskState(member, observation, now)),
  );
  if (alive.length > 0) {
    return `${alive.map((member) => member.name).join(', ')} is not confirmed STOPPED`;
  }
  const left = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED');
  return left.length > 0 ? `${left.length} tasks of the tenant are not confirmed STOPPED` : undefined;
}

/** S6: the survivor with the highest term and index. */
export const bestSource: Rule = ({ step, tenant, observation }) => {
  if (step.kind !== 'save-survivor') return undefined;
  const survivors = survivorsOf(tenant, observation);
  const chosen = survivors.find(({ member }) => member.name === step.member);
  if (chosen === undefined) return `${step.member} does not answer: it cannot give a snapshot`;
  const better = survivors.find((survivor) => isBetterSource(survivor, chosen));
  return better
    ? `${better.member.name} is further (term ${better.self.raftTerm}, index ${better.self.raftIndex}) than ${step.member} (term ${chosen.self.raftTerm}, index ${chosen.self.raftIndex})`
    : undefined;
};

/** S7: nothing is written over another incarnation's snapshots. */
export const ownKeysOnly: Rule = ({ step, tenant }) => {
  if (step.kind !== 'save-survivor') return undefined;
  const prefix = snapshotPrefix(tenant);
  return step.key.startsWith(prefix) ? undefined : `${step.key} is not below ${prefix}`;
};

/** Where snapshots of the present incarnation go. */
export const snapshotPrefix = ({ cell, tenantId, incarnation }: TenantRecord): string =>
  `${cell}/${tenantId}/${incarnation.number}/full/`;
