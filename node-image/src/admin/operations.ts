import type { HashKvAnswer } from '../../../lambdas/core/wire/admin.ts';
import type { EtcdClient } from '../etcd/client.ts';
import { EtcdError } from '../etcd/errors.ts';

const deactivate = 2;
const get = 0;
/** 1 GB takes 10 s. */
const defragmentTimeoutMs = 120_000;
const compactTimeoutMs = 30_000;
/** Reads the whole database: 0.2 s for 100 MB. */
const hashTimeoutMs = 30_000;
const statusTimeoutMs = 2_000;
const downgradeActions = { validate: 0, enable: 1, cancel: 2 };

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

/** Of all keys up to this revision, as this member has them. Waits until it has applied that far. */
export async function hashKv(etcd: EtcdClient, revision: number): Promise<HashKvAnswer> {
  const answer = await etcd.call('hashKv', { revision: String(revision) }, hashTimeoutMs);
  const hashRevision = Number(answer.hashRevision);
  return {
    hash: answer.hash,
    // 3.5 does not repeat it.
    hashRevision: hashRevision === 0 ? revision : hashRevision,
    compactRevision: Number(answer.compactRevision),
  };
}

/** Harmless when it is enabled for this version already, or was cancelled before. */
export async function downgrade(
  etcd: EtcdClient,
  action: 'validate' | 'enable' | 'cancel',
  version: string,
): Promise<object> {
  try {
    await etcd.call('downgrade', { action: downgradeActions[action], version });
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    if (action === 'cancel' && error.code === 'no-downgrade') return {};
    if (action !== 'enable' || error.code !== 'downgrade-running') throw error;
    const { downgrade: running } = await etcd.statusAndDowngrade(statusTimeoutMs);
    if (running?.targetVersion !== version) throw error;
  }
  return {};
}
