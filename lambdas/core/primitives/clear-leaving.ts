import { membersIn } from '../members.ts';
import type { MemberIn } from '../model/member.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step, taskState } from '../step.ts';
import { waitLong, waitSoon } from './decide.ts';
import { entryOf, type QuorumView, votesAlready } from './quorum-view.ts';

/**
 * Members on their way out: out of etcd, out of the name service, their tasks stopped and confirmed STOPPED, then
 * forgotten. Needs an observation with listed tasks: a launch whose answer nobody saved has a task too.
 *
 * @param view absent where no cluster has formed: there is no list to leave
 * @param what for people, in the wait: "3 tasks of <what> are stopping"
 */
export function clearLeaving(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view?: QuorumView,
  what = 'members that leave',
): Decision | undefined {
  const vanished = view && clearVanished(view);
  if (vanished) return vanished;
  const outgoing = membersIn(tenant, 'leaving');
  if (outgoing.length === 0) return undefined;
  const listed = outgoing.find((member) => inEtcd(member, tenant, view));
  if (listed) return step({ kind: 'remove-member', member: listed.name, reason: listed.reason });
  const named = outgoing.map((member) => member.name).filter((name) => observation.names.includes(name));
  if (named.length > 0) return step({ kind: 'deregister-names', members: named });

  const names = new Set(outgoing.map((member) => member.name));
  const running = new Set(
    outgoing
      .filter((member) => ['unknown', 'coming', 'running'].includes(taskState(member, observation, now)))
      .map((member) => member.taskArn!),
  );
  const theirs = Object.values(observation.tasks).filter(
    (task) => task.memberName !== undefined && names.has(task.memberName) && task.lastStatus !== 'STOPPED',
  );
  for (const task of theirs) if (task.desiredStatus !== 'STOPPED') running.add(task.taskArn);
  if (running.size > 0) {
    return step({ kind: 'stop-tasks', taskArns: [...running].sort(), reason: outgoing[0]!.reason });
  }
  const stopping = outgoing.filter((member) => taskState(member, observation, now) === 'stopping');
  if (stopping.length > 0 || theirs.length > 0) {
    const reason = `${Math.max(stopping.length, theirs.length)} tasks of ${what} are stopping`;
    return waitSoon('wait-for-stop', reason, 5);
  }
  if (view !== undefined && view.listed === undefined) {
    // Forgetting one that etcd may still list would leave a member that no record knows.
    return waitSoon('wait-for-member-list', 'the member list cannot be read now', 5);
  }
  const late = outgoing.filter(({ maybeAddedUntil: until }) => view && until && now < new Date(until));
  const forgotten = outgoing.filter((member) => !late.includes(member)).map(({ name }) => name);
  if (forgotten.length > 0) return step({ kind: 'forget-members', members: forgotten });
  const reason = `etcd may still add ${late.map(({ name }) => name).join(', ')}: it was asked to and has not answered`;
  return waitLong('wait-for-member-list', reason, 5);
}

/** Goes before everything else: what the record counts as a voter has left already. */
export function clearVanished(view: QuorumView): Decision | undefined {
  const [vanished] = view.vanished;
  return (
    vanished &&
    step({ kind: 'remove-member', member: vanished.name, reason: 'etcd does not list it any more' })
  );
}

/** Goes before everything else too: what the record counts as a learner votes, and counts for quorum. */
export function recordPromoted(tenant: TenantRecord, view: QuorumView): Decision | undefined {
  const promoted = membersIn(tenant, 'learner').find(({ name }) => votesAlready(tenant, view, name));
  return promoted && step({ kind: 'promote', member: promoted.name });
}

/** By its id, or by its address where a crash kept the id from being saved. */
const inEtcd = (member: MemberIn<'leaving'>, tenant: TenantRecord, view: QuorumView | undefined): boolean =>
  view !== undefined &&
  (member.etcdId !== undefined || entryOf(tenant, view.listed, member.name) !== undefined);
