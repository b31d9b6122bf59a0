import type { EtcdClient } from '../etcd/client.ts';
import { EtcdError } from '../etcd/errors.ts';

const deactivate = 2;
const get = 0;
/** 1 GB takes 10 s. */
const defragmentTimeoutMs = 120_000;
const compactTimeoutMs = 30_000;

/** A learner that is there already under this address is the answer: the caller may have crashed after its first try. */
export async function addLearner(etcd: EtcdClient, peerUrl: string): Promise<{ etcdId: string }> {
  try {
    const { member } = await etcd.call('memberAdd', { peerUrls: [peerUrl], isLearner: true });
    if (member === undefined) throw new Error('etcd added a member but did not say which');
    return { etcdId: member.id };
  } catch (error) {
    const repeated =
      error instanceof EtcdError && ['peer-url-exists', 'too-many-learners', 'timeout'].includes(error.code);
    if (!repeated) throw error;
    const { members } = await etcd.members(true, 2_000);
    const there = members.find((member) => member.isLearner && member.peerUrls.includes(peerUrl));
    if (there === undefined) throw error;
    return { etcdId: there.id };
  }
}

/** Harmless when the member votes already. */
export async function promote(etcd: EtcdClient, etcdId: string): Promise<object> {
  try {
    await etcd.call('memberPromote', { id: etcdId });
  } catch (error) {
    if (!(error instanceof EtcdError) || error.code !== 'not-learner') throw error;
  }
  return {};
}

export async function compact(etcd: EtcdClient, revision: number): Promise<object> {
  await etcd.call('compact', { revision: String(revision), physical: true }, compactTimeoutMs);
  return {};
}

export async function defragment(etcd: EtcdClient): Promise<object> {
  await etcd.call('defragment', {}, defragmentTimeoutMs);
  return {};
}

export async function disarm(etcd: EtcdClient): Promise<{ disarmed: number }> {
  const { alarms } = await etcd.call('alarm', { action: get });
  for (const { memberId, alarm } of alarms) {
    await etcd.call('alarm', { action: deactivate, memberId, alarm });
  }
  return { disarmed: alarms.length };
}
