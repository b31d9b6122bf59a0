import type { BackupOrder, EtcdState } from '../../lambdas/core/wire/admin.ts';
import type { JoinAnswer } from '../../lambdas/core/wire/join.ts';
import type { FakeCertificates } from '../fakes/fake-pki.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { Snapshot } from './bucket.ts';
import type { Fargate, Task } from './fargate.ts';
import type { Network } from './network.ts';
import type { Disk, Raft } from './raft.ts';
import type { Random } from './random.ts';

export interface Boot {
  readonly mode: 'new' | 'existing' | 'resume' | 'restore';
  readonly incarnation: number;
  version: string;
  readonly token: string;
  readonly urls: readonly string[];
  readonly quotaBytes: number;
}

/** A task's nanny and its etcd. */
export interface Node {
  readonly task: Task;
  state: EtcdState;
  restarts: number;
  exit?: { readonly at: string; readonly reason: string };
  /** The nanny's process and its admin server: after join's answer only. */
  listens: boolean;
  boot?: Boot;
  certificates?: FakeCertificates;
  raft?: Raft;
  disk?: Disk;
  fence: number;
  /** What it was last told to ship, and how far it was when its etcd last answered: S3 is always there, in this world. */
  shipping?: { readonly order: BackupOrder; revision: number; at: string };
  /** What it last got through to the control plane. */
  told: string;
  telling: boolean;
  lies?: 'peers-gone' | 'not-ready';
  slowDisk?: boolean;
}

export type Route = 'join' | 'report' | 'renew' | 'work';
export type CallJoin = (route: Route, body: unknown, task: Task) => Promise<unknown>;

/** What judges look at. */
export interface NodeEvents {
  readonly booting: (node: Node, answer: Extract<JoinAnswer, { answer: 'boot' }>) => void;
  readonly removing: (raft: Raft, etcdId: string) => void;
  readonly handingOver: () => void;
  readonly saving: (node: Node) => void;
  readonly lost: (raft: Raft) => void;
  readonly stopping: (task: Task) => void;
}

export interface NodesOptions {
  readonly clock: VirtualClock;
  readonly tenantId: string;
  readonly fargate: Fargate;
  readonly network: Network;
  readonly random: Random;
  readonly call: CallJoin;
  readonly events: NodeEvents;
  readonly slowLearners: () => number;
  /** What a copy of a kept disk holds. */
  readonly onCopy: (snapshotId: string) => Snapshot | undefined;
}
