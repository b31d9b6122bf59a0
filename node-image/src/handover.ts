import type { Log } from '../../lambdas/core/ports.ts';
import type { MemberSeen } from '../../lambdas/core/wire/admin.ts';
import type { EtcdClient } from './etcd/client.ts';
import { sentence } from './log.ts';
import type { ClusterView, Observation } from './observer.ts';

/** MoveLeader takes about 110 ms; what is not done by then is left to etcd's own hand-over at its stop. */
const moveTimeoutMs = 3_000;

/** The voter that is furthest along, among those that answered; undefined when there is none. */
export function chooseSuccessor(view: ClusterView, selfId: string): MemberSeen | undefined {
  return view.members
    .filter((member) => member.etcdId !== selfId && !member.isLearner && member.reachable && member.status)
    .sort((a, b) => b.status!.raftAppliedIndex - a.status!.raftAppliedIndex)[0];
}

/** Gives leadership away before a stop. Best effort: a cluster without a successor is stopped all the same. */
export async function handOverLeadership(
  look: () => Promise<Observation>,
  etcd: () => EtcdClient,
  log: Log,
): Promise<void> {
  try {
    const { self, view } = await look();
    if (self === undefined || self.leader !== self.etcdId || view === undefined) return;
    const successor = chooseSuccessor(view, self.etcdId);
    if (successor === undefined) {
      log.warn('This member leads and there is no healthy voter to hand leadership to');
      return;
    }
    await etcd().call('moveLeader', { targetId: successor.etcdId }, moveTimeoutMs);
    log.info('Leadership handed over', { to: successor.name, etcdId: successor.etcdId });
  } catch (error) {
    log.warn(`Leadership could not be handed over: ${sentence(error)}`);
  }
}
