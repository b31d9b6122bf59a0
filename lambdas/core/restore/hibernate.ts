import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { fence, quorumView, statusOf, waitSoon } from '../primitives/index.ts';
import { type Decision, type Observation, step, taskState } from '../step.ts';
import { hibernationOf } from './source.ts';

/**
 * To sleep: names first, so that clients go away; then everybody but one, so that nothing can be written any more; then
 * the last one's snapshot, which therefore holds all that was ever acknowledged; then the last one.
 */
export function planHibernate(tenant: TenantRecord, observation: Observation, now: Date): Decision {
  const { status, work, operation } = tenant;
  if (status.phase === 'hibernated') {
    const { revision, bytes } = status.source;
    const message = `Asleep: revision ${revision}, ${bytes} bytes are kept. Nothing runs.`;
    return step({ kind: 'close-operation', message });
  }
  if (work !== undefined) {
    return step({ kind: 'end-work', name: work.name, reason: 'the cluster goes to sleep' });
  }
  const hibernation = hibernationOf(tenant);
  if (hibernation === undefined) return begin(tenant, observation, now);
  const { source, member: last } = hibernation;
  if (source !== undefined) {
    return (
      fence(tenant, observation, now, 'the cluster sleeps: everything is saved') ??
      step({ kind: 'hibernate', operationId: operation!.operationId })
    );
  }
  const lost = tenant.members[last];
  const task = lost && taskState(lost, observation, now);
  if (lost?.state !== 'voting' || task === 'stopped' || task === 'stopping') {
    const message = `${last}, whose snapshot was to be the last one, is gone; the cluster is repaired instead`;
    return step({ kind: 'close-operation', failed: true, message });
  }
  if (observation.names.length > 0) {
    return step({ kind: 'deregister-names', members: [...observation.names].sort() });
  }
  const others = Object.values(observation.tasks).filter(
    (other) => other.taskArn !== lost.taskArn && other.lastStatus !== 'STOPPED',
  );
  const running = others.filter((other) => other.desiredStatus !== 'STOPPED').map((other) => other.taskArn);
  if (running.length > 0) {
    return step({ kind: 'stop-tasks', taskArns: running.sort(), reason: 'the cluster goes to sleep' });
  }
  if (others.length > 0) {
    return waitSoon('wait-for-stop', `${others.length} members are stopping`, 5);
  }
  return step({ kind: 'save-last', member: last });
}

/** From the leader, which has everything; only a cluster that is well is put to sleep. */
function begin(tenant: TenantRecord, observation: Observation, now: Date): Decision {
  const view = quorumView(tenant, observation, now);
  const { leader } = view;
  const whole = membersIn(tenant, 'voting').length === Object.keys(tenant.members).length;
  if (!view.holds || view.ambiguous || leader === undefined || !whole) {
    return waitSoon('wait-for-voters', 'the leader is not known, or a member is on its way', 5);
  }
  const { revision = 0 } = statusOf(leader.name, tenant, observation)?.self ?? {};
  return revision < tenant.highestRevision
    ? waitSoon('wait-for-voters', `${leader.name} is behind the highest revision that was seen`, 5)
    : step({ kind: 'begin-hibernate', member: leader.name });
}
