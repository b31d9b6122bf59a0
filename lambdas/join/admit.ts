import { ControlPlaneError } from '../core/errors.ts';
import { taskIdOf } from '../core/members.ts';
import type { MemberIn } from '../core/model/member.ts';
import type { TenantRecord, Work } from '../core/model/tenant.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';

/** The caller is not the task that it says it is. */
export class NotThisTaskError extends ControlPlaneError {
  constructor(message: string) {
    super('not-this-task', message);
  }
}

export type Admission =
  | { readonly kind: 'leave'; readonly reason: string }
  | { readonly kind: 'wait'; readonly reason: string }
  /** `work.ip`: absent on its first join; the caller's address has been proven either way. */
  | { readonly kind: 'worker'; readonly tenant: TenantRecord; readonly work: Work }
  | { readonly kind: 'newcomer'; readonly tenant: TenantRecord; readonly member: MemberIn<'launching'> }
  | {
      readonly kind: 'member';
      readonly tenant: TenantRecord;
      readonly member: MemberIn<'joined' | 'learner' | 'voting'>;
    };

/**
 * Is the caller the task that was launched for this member? Two proofs that do not depend on each other: the session
 * name of the task role's credentials is the id of the recorded task, and the call comes from the address that ECS
 * shows for that task (on the first join; later calls are held to the address recorded then).
 *
 * @throws NotThisTaskError
 */
export async function admit(
  deps: JoinDeps,
  who: { readonly tenantId: string; readonly memberName: string },
  caller: JoinCaller,
): Promise<Admission> {
  const tenant = await deps.store.get(who.tenantId);
  if (tenant === undefined) return { kind: 'leave', reason: `tenant ${who.tenantId} does not exist` };
  const { work } = tenant;
  if (work?.name === who.memberName) return admitWorker(deps, tenant, work, caller);
  const member = tenant.members[who.memberName];
  if (member === undefined) {
    return { kind: 'leave', reason: `${who.memberName} is not a member of ${who.tenantId}` };
  }
  if (member.state === 'leaving') {
    return { kind: 'leave', reason: `${member.name} is leaving: ${member.reason}` };
  }
  if (member.state === 'requested') return { kind: 'wait', reason: 'the launch is being recorded' };
  checkTask(member, caller);
  if (member.state === 'launching') {
    return (await checkAddress(deps, member, caller)) ?? { kind: 'newcomer', tenant, member };
  }
  checkSameAddress(member, caller);
  return { kind: 'member', tenant, member };
}

/** The same two proofs for a task that is no member. */
async function admitWorker(
  deps: JoinDeps,
  tenant: TenantRecord,
  work: Work,
  caller: JoinCaller,
): Promise<Admission> {
  const { name, taskArn, ip } = work;
  if (taskArn === undefined) return { kind: 'wait', reason: 'the launch is being recorded' };
  checkTask({ name, taskArn }, caller);
  if (ip === undefined) {
    return (await checkAddress(deps, { name, taskArn }, caller)) ?? { kind: 'worker', tenant, work };
  }
  checkSameAddress({ name, ip }, caller);
  return { kind: 'worker', tenant, work };
}

function checkSameAddress(owner: { name: string; ip: string }, caller: JoinCaller): void {
  if (owner.ip === caller.sourceIp) return;
  throw new NotThisTaskError(
    `The call comes from ${caller.sourceIp}, but member ${owner.name} joined from ${owner.ip}.`,
  );
}

function checkTask(member: { name: string; taskArn: string }, caller: JoinCaller): void {
  const session = /^arn:[^:]+:sts::\d*:assumed-role\/.+\/([^/]+)$/.exec(caller.principalArn)?.[1];
  const task = taskIdOf(member.taskArn);
  if (session === task) return;
  throw new NotThisTaskError(
    session === undefined
      ? `The caller ${caller.principalArn} is not a task. Only the task of ${member.name} may call this.`
      : `The caller is task ${session}, but member ${member.name} was launched as task ${task}.`,
  );
}

/** Undefined when ECS shows the very address that the call comes from. */
async function checkAddress(
  deps: JoinDeps,
  member: { name: string; taskArn: string },
  caller: JoinCaller,
): Promise<Admission | undefined> {
  const [task] = await deps.runtime.describe(deps.cell, [member.taskArn]);
  if (task?.privateIp === undefined) return { kind: 'wait', reason: 'ECS does not show the task yet' };
  if (task.privateIp !== caller.sourceIp) {
    throw new NotThisTaskError(
      `The call comes from ${caller.sourceIp}, but the task of member ${member.name} has address ${task.privateIp}.`,
    );
  }
  if (task.desiredStatus === 'STOPPED' || task.lastStatus === 'STOPPED') {
    return { kind: 'leave', reason: 'ECS is stopping the task' };
  }
  return undefined;
}
