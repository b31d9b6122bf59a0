import { backoffWait } from '../backoff.ts';
import { membersOf } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type QuorumView, tellOf, waitLong, waitSoon } from '../primitives/index.ts';
import { confirmMs, snapshotPrefix } from '../safety-recovery.ts';
import { type QuorumLoss, quorumLoss } from '../sickness.ts';
import { type Decision, type Observation, step, taskState } from '../step.ts';
import { isBetterSource, lossOf, type Survivor, survivorsOf } from './survivor.ts';

/**
 * Quorum lost → a new incarnation from the best survivor (S5, S6): confirm, decide and say what may be lost, wait for
 * approval if asked to, save the survivor without restarting it, fence every old task, begin anew.
 *
 * @returns undefined while there is no loss of quorum to speak of
 */
export function planRecovery(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const remediation = tenant.remediation!;
  const decided = recoveryOf(tenant);
  if (view.holds) {
    if (decided !== undefined) {
      const reason = 'quorum is back; the recovery is off';
      return step({ kind: 'begin-remediation', what: 'remediate', reason });
    }
    return remediation.quorumLostSince === undefined ? undefined : step({ kind: 'note-quorum', lost: false });
  }
  const loss = quorumLoss(tenant, observation, now);
  if (decided?.source !== undefined) {
    return fence(tenant, observation, now, decided.source);
  }
  if (loss === undefined) {
    const unwell = tellOf(view, [...view.sick, ...view.unsure, ...view.coming]);
    return waitSoon(
      'wait-for-quorum',
      `no quorum is seen, but no majority is known to be lost: ${unwell}`,
      5,
    );
  }
  return confirm(tenant, now, loss) ?? decide(tenant, observation, now, loss);
}

/** The recovery that was decided for the present incarnation. */
const recoveryOf = ({ remediation, incarnation }: TenantRecord) =>
  remediation?.recovery?.incarnation === incarnation.number ? remediation.recovery : undefined;

function confirm(tenant: TenantRecord, now: Date, loss: QuorumLoss): Decision | undefined {
  const since = tenant.remediation?.quorumLostSince;
  if (since === undefined) return step({ kind: 'note-quorum', lost: true });
  const left = Math.ceil((Date.parse(since) + confirmMs(tenant, loss.certain) - now.getTime()) / 1000);
  if (left <= 0) return undefined;
  const who = namesOf(loss).join(', ');
  return waitSoon(
    'confirm-quorum-loss',
    `quorum is lost since ${since} (${who}); it has to stay so`,
    Math.min(left, 5),
  );
}

function decide(tenant: TenantRecord, observation: Observation, now: Date, loss: QuorumLoss): Decision {
  const [best, ...others] = survivorsOf(tenant, observation);
  const decided = recoveryOf(tenant);
  if (best === undefined) {
    const reason = `quorum is lost (${namesOf(loss).join(', ')}) and no member is left that could give a snapshot: a restore from a backup is needed, which a person has to start`;
    return { kind: 'blocked', reason, recheckSeconds: 60 };
  }
  const chosen = [best, ...others].find(({ member }) => member.name === decided?.survivor);
  if (decided === undefined || chosen === undefined || isBetterSource(best, chosen))
    return begin(tenant, best, loss);
  if ((tenant.spec.recovery === 'approve' || decided.mustBeApproved) && !tenant.remediation?.approved) {
    return waitLong(
      'wait-for-approval',
      `a person has to agree to the recovery (nanny approve ${tenant.tenantId}): ${tenant.remediation?.reason}`,
      60,
    );
  }
  return (
    backoffWait(tenant, now) ?? step({ kind: 'save-survivor', member: decided.survivor, key: decided.key })
  );
}

function begin(tenant: TenantRecord, best: Survivor, loss: QuorumLoss): Decision {
  const { incarnation, remediation } = tenant;
  const lost = namesOf(loss);
  // The revision in the file is only known when it has been written; the operation's id makes the key unique.
  const key = `${snapshotPrefix(tenant)}${remediation!.operationId}-${best.member.name}.snap`;
  const doubt = loss.certain
    ? ''
    : ' ECS says that lost members still run: they may serve clients where nobody sees it, so a person has to agree.';
  return step({
    kind: 'begin-remediation',
    what: 'recover',
    reason: `Quorum is lost: ${lost.join(', ')} ${lost.length === 1 ? 'is' : 'are'} gone. ${lossOf(tenant, best, lost)}${doubt}`,
    recovery: {
      incarnation: incarnation.number,
      survivor: best.member.name,
      key,
      mustBeApproved: !loss.certain,
    },
  });
}

/** Every task of the tenant has to be STOPPED before the first one of the new incarnation is wanted (S5). */
function fence(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  source: NonNullable<ReturnType<typeof recoveryOf>>['source'] & {},
): Decision {
  const running = new Set<string>();
  let stopping = 0;
  for (const member of membersOf(tenant)) {
    const state = taskState(member, observation, now);
    if (['unknown', 'coming', 'running'].includes(state) && 'taskArn' in member) running.add(member.taskArn!);
    if (state === 'stopping') stopping += 1;
  }
  for (const task of Object.values(observation.tasks)) {
    if (task.lastStatus !== 'STOPPED' && task.desiredStatus !== 'STOPPED') running.add(task.taskArn);
  }
  if (running.size > 0) {
    const reason = 'a new incarnation of the cluster replaces this one';
    return step({ kind: 'stop-tasks', taskArns: [...running].sort(), reason });
  }
  const left = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED').length;
  if (stopping > 0 || left > 0) {
    return waitSoon('fence', `${Math.max(stopping, left)} old tasks are not confirmed STOPPED yet`, 5);
  }
  if (observation.names.length > 0) {
    return step({ kind: 'deregister-names', members: [...observation.names].sort() });
  }
  return step({ kind: 'new-incarnation', incarnation: tenant.incarnation.number, source });
}

const namesOf = (loss: QuorumLoss): string[] => loss.lost.map((member) => member.name);
