import { beginningOf } from './backup/beginning.ts';
import { membersOf } from './members.ts';
import { backupPrefix, fullPrefix } from './model/backup.ts';
import type { TenantRecord } from './model/tenant.ts';
import { furtherThan, isBetterSource, survivorsOf } from './remediation/survivor.ts';
import { fencingOf, hibernationOf } from './restore/source.ts';
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

/** The old cluster's tasks are being stopped: that was decided, and what comes after it starts from is safe. */
export const isFencing = (tenant: TenantRecord): boolean => fencingOf(tenant) !== undefined;

export const recoverSafely: Rule = (context) => {
  const { step, tenant } = context;
  switch (step.kind) {
    case 'begin-remediation':
      return step.what === 'recover' ? notLost(context) : undefined;
    case 'save-survivor':
    case 'copy-disks':
    case 'choose-disk':
      return notAgreed(tenant) ?? notLost(context);
    case 'order-work':
      return step.purpose === 'drill' ? undefined : notOrdered(context, step.operationId);
    case 'stop-tasks': {
      // The others are decided by whoever owns the cluster, not by what is seen of it.
      if (fencingOf(tenant)?.by !== 'recover' || tenant.incarnation.state !== 'formed') return undefined;
      return quorumLoss(tenant, context.observation, context.now) === undefined
        ? 'a majority of the members is there: nobody is fenced'
        : undefined;
    }
    case 'new-incarnation':
      return notFenced(context, step.source.key);
    case 'hibernate':
      return notFenced(context, fencingOf(tenant)?.source.key ?? '');
    case 'begin-restore': {
      const { restore, operation, incarnation } = tenant;
      const ordered =
        operation?.operationId === step.operationId && restore?.operationId === step.operationId;
      if (!ordered) return 'no operation has ordered this restore';
      if (restore.incarnation !== incarnation.number)
        return 'the cluster that was to be replaced is gone already';
      return restore.prepared === undefined
        ? 'what is to be restored is not safe in the bucket yet'
        : undefined;
    }
    case 'save-last':
      return aloneWithNames(context, step.member);
    default:
      return undefined;
  }
};

function notAgreed(tenant: TenantRecord): string | undefined {
  const recovery = recoveryOf(tenant);
  if (recovery === undefined) return 'no recovery was decided for this incarnation';
  const byPerson = tenant.spec.recovery === 'approve' || recovery.mustBeApproved;
  return byPerson && !tenant.remediation?.approved
    ? 'a person has to agree to the recovery first'
    : undefined;
}

/** Something is only made of a backup for the operation that wants it, or for a recovery that has nothing better (S6). */
function notOrdered(context: SafetyContext, operationId: string | undefined): string | undefined {
  const { tenant, observation } = context;
  const { operation, restore, remediation } = tenant;
  if (operationId === undefined) return 'no operation has ordered this';
  if (operation?.operationId === operationId && restore?.operationId === operationId) return undefined;
  if (remediation?.operationId !== operationId) return `the operation ${operationId} is not under way`;
  const survivor = survivorsOf(tenant, observation)[0];
  if (survivor !== undefined) return `${survivor.member.name} still answers: it is the better source`;
  return notAgreed(tenant) ?? notLost(context);
}

function notLost({ tenant, observation, now }: SafetyContext): string | undefined {
  const loss = quorumLoss(tenant, observation, now);
  if (loss === undefined) return 'no majority of the members is known to be lost';
  const since = tenant.remediation?.quorumLostSince;
  const wanted = confirmMs(tenant, loss.certain);
  return since === undefined || now.getTime() - Date.parse(since) < wanted
    ? `quorum has not been lost for ${wanted / 1000} s yet`
    : undefined;
}

/** The last snapshot holds everything only if nobody can write any more: no other member runs, no client finds it. */
function aloneWithNames({ tenant, observation, now }: SafetyContext, name: string): string | undefined {
  if (hibernationOf(tenant)?.member !== name) return `${name} is not the one that was chosen to be last`;
  const others = membersOf(tenant).filter(
    (member) => member.name !== name && !['none', 'stopped'].includes(taskState(member, observation, now)),
  );
  if (others.length > 0) return `${others.map((member) => member.name).join(', ')} is not confirmed STOPPED`;
  return observation.names.length > 0 ? 'clients still find it by name' : undefined;
}

function notFenced({ tenant, observation, now }: SafetyContext, key: string): string | undefined {
  if (fencingOf(tenant)?.source.key !== key) return `${key} is not what was saved for that`;
  const alive = membersOf(tenant).filter(
    (member) => !['none', 'stopped'].includes(taskState(member, observation, now)),
  );
  if (alive.length > 0) {
    return `${alive.map((member) => member.name).join(', ')} is not confirmed STOPPED`;
  }
  const left = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED');
  return left.length > 0 ? `${left.length} tasks of the tenant are not confirmed STOPPED` : undefined;
}

/** S6: the survivor with the highest term and index; and nobody is stopped who has more than what was saved. */
export const bestSource: Rule = ({ step, tenant, observation, now }) => {
  if (step.kind === 'stop-tasks') {
    const fencing = fencingOf(tenant);
    if (fencing?.by !== 'recover' || tenant.incarnation.state !== 'formed') return undefined;
    const further = furtherThan(tenant, observation, now, fencing.source);
    return (
      further &&
      `${further.member.name} answers and has revision ${further.self.revision}, the snapshot ${fencing.source.revision} only`
    );
  }
  if (step.kind !== 'save-survivor') return undefined;
  const survivors = survivorsOf(tenant, observation);
  const chosen = survivors.find(({ member }) => member.name === step.member);
  if (chosen === undefined) return `${step.member} does not answer: it cannot give a snapshot`;
  const better = survivors.find((survivor) => isBetterSource(survivor, chosen));
  return better
    ? `${better.member.name} is further (term ${better.self.raftTerm}, index ${better.self.raftIndex}) than ${step.member} (term ${chosen.self.raftTerm}, index ${chosen.self.raftIndex})`
    : undefined;
};

/**
 * S6: a recovery goes on from what the lost cluster was made of, or from what it has backed up itself. What a restore has
 * taken back stays so until a person asks for it.
 */
export const neverTakenBack: Rule = ({ step, tenant, observation: { catalogue } }) => {
  if (step.kind !== 'begin-remediation' || step.recovery?.pin === undefined) return undefined;
  const { incarnation, expectedRevision: reached } = step.recovery.pin;
  const { number: present } = tenant.incarnation;
  const made = catalogue && beginningOf(catalogue.backups, present)?.madeOf;
  if (made === undefined || incarnation === present) return undefined;
  const beyond =
    incarnation > made.incarnation || (incarnation === made.incarnation && reached > made.revision);
  return beyond
    ? `incarnation ${present} was made of revision ${made.revision} of incarnation ${made.incarnation}: revision ${reached} of ${incarnation} is what was taken back`
    : undefined;
};

/** S7: nothing is written over another incarnation's snapshots, or over what another tenant has. */
export const ownKeysOnly: Rule = ({ step, tenant }) => {
  if (step.kind === 'order-work') {
    const own = preparedPrefix(tenant);
    return step.outputPrefix === undefined || step.outputPrefix === own
      ? undefined
      : `what a worker makes of ${tenant.tenantId} goes below ${own}, not ${step.outputPrefix}`;
  }
  if (step.kind !== 'save-survivor') return undefined;
  const prefix = snapshotPrefix(tenant);
  return step.key.startsWith(prefix) ? undefined : `${step.key} is not below ${prefix}`;
};

/** Where snapshots of the present incarnation go. */
export const snapshotPrefix = ({ cell, tenantId, incarnation }: TenantRecord): string =>
  fullPrefix(cell, tenantId, incarnation.number);

/** Where a worker of the present incarnation publishes what all members of the next one begin with. */
export const preparedPrefix = ({ cell, tenantId, incarnation }: TenantRecord): string =>
  `${backupPrefix(cell, tenantId, incarnation.number)}prepared/`;
