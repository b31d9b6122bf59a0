import { ControlPlaneError, TransientError } from '../../../lambdas/core/errors.ts';
import { quorumOf } from '../../../lambdas/core/members.ts';
import { StorageVersion } from './storage-version.ts';

/** An entry of etcd's own member list. */
export interface Listed {
  readonly etcdId: string;
  readonly peerUrl: string;
  isLearner: boolean;
}

/** etcd refuses changes until all members have been connected for so long (HealthInterval). */
const healthIntervalMs = 5_000;

export const hexId = (text: string): string => {
  let hash = 0xcbf29ce484222325n;
  for (const character of text) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n);
  }
  return hash.toString(16);
};

/** What the members of one cluster have agreed on: the list, the leader; and what etcd refuses. */
export class SimCluster {
  readonly clusterId: string;
  readonly token: string;
  readonly members = new Map<string, Listed>();
  readonly removed = new Set<string>();
  /** Entries in the leader's log; grows as clients write. */
  index = 9;
  downgradeTo: string | undefined;
  downgradeSince = 0;
  readonly storageVersion = new StorageVersion();
  #leader: string | undefined;
  #changedAt: number;
  readonly #isUp: (etcdId: string) => boolean;

  constructor(token: string, urls: readonly string[], now: number, isUp: (etcdId: string) => boolean) {
    this.token = token;
    this.clusterId = hexId(`cluster ${token} ${[...urls].sort().join()}`);
    this.#isUp = isUp;
    this.#changedAt = now;
    for (const peerUrl of urls) {
      const etcdId = hexId(`${token} ${peerUrl}`);
      this.members.set(etcdId, { etcdId, peerUrl, isLearner: false });
    }
  }

  get voters(): Listed[] {
    return [...this.members.values()].filter((member) => !member.isLearner);
  }

  get upVoters(): Listed[] {
    return this.voters.filter((member) => this.#isUp(member.etcdId));
  }

  get hasQuorum(): boolean {
    return this.upVoters.length >= quorumOf(this.voters.length);
  }

  get leader(): string {
    if (!this.hasQuorum) return '0';
    const up = this.upVoters.map((member) => member.etcdId).sort();
    if (this.#leader === undefined || !up.includes(this.#leader)) this.#leader = up[0];
    return this.#leader ?? '0';
  }

  byUrl(peerUrl: string): Listed | undefined {
    return [...this.members.values()].find((member) => member.peerUrl === peerUrl);
  }

  addLearner(peerUrl: string, now: number): { etcdId: string } {
    this.#needsQuorum();
    const there = this.byUrl(peerUrl);
    if (there?.isLearner) return { etcdId: there.etcdId };
    if (there) throw new ControlPlaneError('peer-url-exists', 'another member has this address');
    if ([...this.members.values()].some((member) => member.isLearner)) {
      throw new ControlPlaneError('too-many-learners', 'too many learner members in cluster');
    }
    if (this.upVoters.length < this.voters.length || now - this.#changedAt < healthIntervalMs) {
      throw new TransientError('etcdserver: unhealthy cluster (unhealthy-cluster)');
    }
    const etcdId = hexId(`${this.token} ${peerUrl} ${now}`);
    this.members.set(etcdId, { etcdId, peerUrl, isLearner: true });
    this.#changedAt = now;
    return { etcdId };
  }

  promote(etcdId: string, now: number, inSync: boolean): void {
    this.#needsQuorum();
    const member = this.members.get(etcdId);
    if (member === undefined) throw new ControlPlaneError('member-not-found', 'member not found');
    if (!member.isLearner) return;
    if (!inSync) throw new TransientError('learner is not in sync with leader (learner-not-ready)');
    member.isLearner = false;
    this.#changedAt = now;
  }

  remove(etcdId: string, now: number): void {
    this.#needsQuorum();
    const member = this.members.get(etcdId);
    if (member === undefined) throw new ControlPlaneError('member-not-found', 'member not found');
    const stay = this.voters.filter((voter) => voter !== member);
    const up = stay.filter((voter) => this.#isUp(voter.etcdId));
    if (!member.isLearner && up.length < quorumOf(stay.length)) {
      throw new TransientError('etcdserver: unhealthy cluster (unhealthy-cluster)');
    }
    this.members.delete(etcdId);
    this.removed.add(etcdId);
    this.#changedAt = now;
  }

  moveLeader(from: string, to: string): void {
    if (this.leader !== from) throw new TransientError('not leader (not-leader)');
    if (!this.upVoters.some((voter) => voter.etcdId === to)) {
      throw new ControlPlaneError('invalid-request', 'the target of a leadership transfer has to vote');
    }
    this.#leader = to;
  }

  #needsQuorum(): void {
    if (!this.hasQuorum) throw new TransientError('request timed out (timeout)');
  }
}
