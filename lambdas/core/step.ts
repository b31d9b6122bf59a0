import type { NextPhase } from './authority.ts';
import type { Backup, BackupReason, DeltaRef } from './model/backup.ts';
import type { DiskFinding } from './model/disk.ts';
import type { Member } from './model/member.ts';
import type { RestoreReport, RestoreSource } from './model/restore.ts';
import type { TenantRecord, Work } from './model/tenant.ts';
import type { Disk, StoredObject, TaskView } from './ports.ts';
import type { HashKvAnswer, NannyStatus, RenewOrder } from './wire/admin.ts';
import type { WorkOrder, WorkResult } from './wire/work.ts';

/** What was seen of a tenant just now. Everything a plan may base a decision on, besides the record. */
export interface Observation {
  /** Tasks by ARN: those the record knows and, where the plan's look asks for it, all that ECS lists. */
  readonly tasks: Readonly<Record<string, TaskView>>;
  /** Answer of each member's nanny, for members whose address is known. */
  readonly nannies: Readonly<Record<string, NannySeen>>;
  /** Member names registered in Cloud Map now; only looked up by those who change them. */
  readonly names: readonly string[];
  /** HashKV of each member at one and the same revision; only asked while a CORRUPT alarm is on. */
  readonly hashes?: Readonly<Record<string, HashKvAnswer>>;
  /** Everything that is backed up; only read when something of it is to be decided. */
  readonly catalogue?: Catalogue;
  /** All disks of the tenant; only looked for when they are to be read or removed. */
  readonly disks?: readonly Disk[];
}

export interface Catalogue {
  /** Incarnations before this one were a deleted tenant's of the same name: only a person asks for these. @default 1 */
  readonly first?: number | undefined;
  /** Newest first, of all incarnations. */
  readonly backups: readonly Backup[];
  /** Segments by incarnation, in the order of their first revisions. */
  readonly deltas: Readonly<Record<number, readonly DeltaRef[]>>;
  /** What else there is below the tenant's prefix: full backups with and without a manifest, prepared snapshots. */
  readonly objects: readonly StoredObject[];
}

export type NannySeen =
  | { readonly reachable: true; readonly status: NannyStatus }
  | { readonly reachable: false; readonly problem: string };

export const nothingSeen: Observation = { tasks: {}, nannies: {}, names: [] };

/** One member a zone entry; names are drawn when the step is done. A formed cluster gets one newcomer at a time. */
export interface RequestMembers {
  readonly kind: 'request-members';
  readonly zones: readonly string[];
  /** etcd version of the newcomers. @default the spec's, or the one that runs while a minor step has not begun */
  readonly version?: string;
  /** A voter whose task has stopped and that is still to be taken out of etcd: the newcomer is for its place. */
  readonly insteadOf?: string;
  /** This zone has been out since then: S4 lets the others double up once `zoneOutageHoldMinutes` have passed. */
  readonly zoneOut?: { readonly zone: string; readonly since: string };
}

/** `failed`: it came to nothing for a passing reason, and says nothing of the backup. */
export type DrillOutcome =
  | {
      readonly kind: 'proven';
      readonly revision: number;
      readonly keys: number;
      readonly hash: number;
      readonly seconds: number;
    }
  | { readonly kind: 'differs' | 'failed'; readonly problem: string }
  | { readonly kind: 'damaged'; readonly problem: string; readonly key?: string };

/** A worker is wanted: a task beside the cluster (core/work/follow-work.ts). */
export interface OrderWork {
  readonly kind: 'order-work';
  readonly purpose: Work['purpose'];
  readonly operationId?: string;
  readonly zone: string;
  /** Its disk begins as this copy of a kept one. */
  readonly snapshotId?: string;
  /** What the record adds: its id, the bucket and, below `outputPrefix`, where the result goes. */
  readonly order: Omit<WorkOrder, 'orderId' | 'bucket' | 'output'>;
  /** Absent: nothing is published, a drill. */
  readonly outputPrefix?: string;
  /** Published only if it reaches further than this revision. */
  readonly outputAbove?: number;
}

/**
 * One idempotent step. Doing it again after a crash in its middle must end in the same state; doing it when the
 * record has moved on must change nothing.
 */
export type Step =
  /** The operation begins to change a formed cluster: phase `updating`. */
  | { readonly kind: 'begin-operation' }
  | RequestMembers
  | { readonly kind: 'launch-members'; readonly members: readonly string[] }
  | { readonly kind: 'issue-pki' }
  | { readonly kind: 'create-name' }
  /** Told to a nanny by join: start etcd with initial-cluster-state new. */
  | { readonly kind: 'boot-new'; readonly member: string; readonly incarnation: number }
  | {
      readonly kind: 'latch-cluster';
      readonly incarnation: number;
      readonly clusterId: string;
      /** etcd id by member name. */
      readonly etcdIds: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'publish' }
  | { readonly kind: 'abandon-incarnation'; readonly incarnation: number; readonly reason: string }
  /** MemberAdd(isLearner) for a joined member; the id etcd gave it is recorded and it turns `learner`. */
  | { readonly kind: 'add-learner'; readonly member: string }
  | { readonly kind: 'promote'; readonly member: string }
  | { readonly kind: 'move-leadership'; readonly from: string; readonly to: string }
  /** MemberRemove in etcd; the member turns `leaving` without an etcd id. Its task is stopped by a later step. */
  | { readonly kind: 'remove-member'; readonly member: string; readonly reason: string }
  | { readonly kind: 'register-names'; readonly members: readonly string[] }
  | {
      readonly kind: 'downgrade';
      readonly action: 'validate' | 'enable' | 'cancel';
      readonly version: string;
    }
  /** Another minor's binary on the same disk: member.made.version changes. */
  | { readonly kind: 'swap-binary'; readonly member: string; readonly version: string }
  /** Another certificate authority is made and becomes part of the bundle. */
  | { readonly kind: 'make-authority'; readonly reason: string }
  /** New certificates, and a restart of etcd where it trusts others than ordered. */
  | { readonly kind: 'renew-certificates'; readonly member: string; readonly order: RenewOrder }
  /** Every member is as ordered: the next phase of the rollover (model/pki.ts). */
  | { readonly kind: 'advance-authority'; readonly to: NextPhase }
  /** @param kept revisions of history that stay */
  | { readonly kind: 'compact'; readonly revision: number; readonly kept: number }
  | { readonly kind: 'defragment'; readonly member: string }
  | { readonly kind: 'disarm' }
  /** Snapshot of the best survivor to S3, without restarting it (S5). */
  | { readonly kind: 'save-survivor'; readonly member: string; readonly key: string }
  /** What a worker has published is what the next incarnation is made of, by this operation. */
  | {
      readonly kind: 'keep-prepared';
      readonly operationId: string;
      readonly result: WorkResult & { readonly output: NonNullable<WorkResult['output']> };
    }
  /** The old cluster is given up for what was prepared: phase `recovering`. */
  | { readonly kind: 'begin-restore'; readonly operationId: string }
  /** Nothing comes of the restore: said on the record, so that its worker can end. */
  | {
      readonly kind: 'note-failed';
      readonly operationId: string;
      readonly reason: string;
      /** The object that is to blame: the pinned backup, or a segment behind it. */
      readonly damagedKey?: string;
    }
  /** A copy of each of these lost members' disks is made. */
  | { readonly kind: 'copy-disks'; readonly members: readonly string[] }
  /** What a worker found on a copy. `alone`: it is to be looked at once more, without the segments. */
  | {
      readonly kind: 'note-disk';
      readonly member: string;
      readonly finding: DiskFinding | { readonly kind: 'alone'; readonly problem: string };
    }
  /** What this member's disk held is what the next incarnation is made of. */
  | { readonly kind: 'choose-disk'; readonly member: string }
  /** Disks that nobody needs any more. */
  | { readonly kind: 'remove-disks'; readonly volumeIds: readonly string[] }
  /** This backup, or the segment behind it, is not what was stored: something else is chosen. */
  | {
      readonly kind: 'condemn-backup';
      readonly backupId: string;
      readonly key: string;
      readonly problem: string;
    }
  /** A clone that cannot be made: phase `failed`. */
  | { readonly kind: 'fail-create'; readonly reason: string }
  /** This member's snapshot is going to be the last one: phase `updating`. */
  | { readonly kind: 'begin-hibernate'; readonly member: string }
  | { readonly kind: 'save-last'; readonly member: string }
  /** Everything is saved and stopped: phase `hibernated`. */
  | { readonly kind: 'hibernate'; readonly operationId: string }
  /** All old members are fenced: a fresh token, restored from the saved source. */
  | { readonly kind: 'new-incarnation'; readonly incarnation: number; readonly source: RestoreSource }
  /** `recover` with what it starts from; `remediate`: quorum is back, the recovery is off. */
  | {
      readonly kind: 'begin-remediation';
      readonly what: 'remediate' | 'recover';
      readonly reason: string;
      readonly recovery?: NonNullable<NonNullable<TenantRecord['remediation']>['recovery']>;
    }
  /** Writes down since when quorum is lost, or that it is back. */
  | { readonly kind: 'note-quorum'; readonly lost: boolean }
  /** Writes down that these members are sick now: how long they have been is what decides. */
  | { readonly kind: 'note-sick'; readonly members: readonly string[] }
  /** Nothing could be started in this zone since then. */
  | { readonly kind: 'note-zone'; readonly zone: string; readonly since: string }
  /** etcd's quota within what the disk can hold: the spec changes and the members follow by `resize`. */
  | { readonly kind: 'raise-quota'; readonly quotaMiB: number; readonly reason: string }
  /** `tried`: what could not be mended for now and is tried again later. */
  | {
      readonly kind: 'end-remediation';
      readonly message: string;
      readonly tried?: 'space' | 'rebalance';
    }
  | { readonly kind: 'stop-tasks'; readonly taskArns: readonly string[]; readonly reason: string }
  | { readonly kind: 'forget-members'; readonly members: readonly string[] }
  | { readonly kind: 'deregister-names'; readonly members: readonly string[] }
  | { readonly kind: 'delete-name' }
  | OrderWork
  | { readonly kind: 'launch-work' }
  /** The task that did it is gone: another one, under another name and order id. */
  | { readonly kind: 'retry-work'; readonly name: string; readonly reason: string }
  /** Its result has been read, or nobody wants it any more: the task stops, the record lets go of it. */
  | { readonly kind: 'end-work'; readonly name: string; readonly reason: string }
  /** An operation waits until a full backup that was begun after this is published. */
  | { readonly kind: 'want-backup'; readonly reason: BackupReason; readonly operationId: string }
  /** A deletion waits for its final backup and nobody seems to be on the way to take it. */
  | { readonly kind: 'call-for-backup' }
  /** This member's nanny is to write a full backup under a fresh key. */
  | { readonly kind: 'begin-backup'; readonly member: string; readonly reason: BackupReason }
  /** Starts it or asks how far it is; published, its manifest is written. */
  | { readonly kind: 'follow-backup'; readonly backupId: string }
  | { readonly kind: 'abandon-backup'; readonly backupId: string; readonly reason: string }
  /** This member's nanny ships the change stream from then on. */
  | {
      readonly kind: 'ship-changes';
      readonly member: string;
      /** Id of the full backup that the unbroken stream begins behind. */
      readonly chain: string;
      readonly afterRevision: number;
      readonly why: string;
    }
  | { readonly kind: 'stop-shipping'; readonly member: string }
  /** The witness is asked for its hash at the revision, then a worker restores the backup up to there. */
  | {
      readonly kind: 'begin-drill';
      readonly backupId: string;
      readonly revision: number;
      readonly witness: string;
      readonly zone: string;
      readonly order: OrderWork['order'];
    }
  | { readonly kind: 'note-drill'; readonly backupId: string; readonly outcome: DrillOutcome }
  /** Something that names alone tell to be gone: a full backup (its own key), or revisions behind it (none). */
  | {
      readonly kind: 'note-loss';
      readonly backupId: string;
      readonly key?: string;
      readonly problem: string;
    }
  /** Objects first, then manifests: what has no manifest is not restored from. */
  | {
      readonly kind: 'prune-backups';
      readonly backupIds: readonly string[];
      readonly keys: readonly string[];
      /** All that there is to prune. */
      readonly whole: boolean;
    }
  /** The work is done; writes the end of the operation and takes it off the record. */
  | {
      readonly kind: 'close-operation';
      readonly message: string;
      readonly failed?: boolean;
      readonly report?: RestoreReport;
    }
  | { readonly kind: 'remove-record' };

export type StepKind = Step['kind'];

export type Decision =
  | { readonly kind: 'step'; readonly step: Step }
  /** Nothing to do until something changes. `recheckSeconds`: when to look again if nobody says that it has. */
  | {
      readonly kind: 'wait';
      /** Stable name for the timeline of the operation, e.g. `wait-for-members`. */
      readonly name: string;
      readonly reason: string;
      readonly recheckSeconds: number;
      /**
       * Worth staying awake for: expected within a few seconds. `record`: whoever brings it about writes it down, so
       * that only the record has to be watched.
       */
      readonly soon?: boolean | 'record';
    }
  | { readonly kind: 'done' }
  | { readonly kind: 'blocked'; readonly reason: string; readonly recheckSeconds: number };

export type Plan = (tenant: TenantRecord, observation: Observation, now: Date) => Decision;

export const step = (wanted: Step): Decision => ({ kind: 'step', step: wanted });

/** Applied to the newest record, again after each conflict. Undefined: no longer applies, nothing to save. */
export type Mutation = (tenant: TenantRecord) => TenantRecord | undefined;

/**
 * What is known of a member's task. `unknown`: ECS does not know it (yet): DescribeTasks is eventually consistent, so
 * a task younger than `describeGraceMs` is not called lost for that.
 */
export type TaskState = 'none' | 'unknown' | 'coming' | 'running' | 'stopping' | 'stopped';

/** ECS says "eventually consistent" without a number; a minute is far beyond what people report. */
export const describeGraceMs = 60_000;

export function taskState(member: Member, observation: Observation, now: Date): TaskState {
  if (!('taskArn' in member) || member.taskArn === undefined) return 'none';
  const task = observation.tasks[member.taskArn];
  if (task === undefined) {
    const since = member.state === 'leaving' ? member.leavingSince : member.launchedAt;
    return now.getTime() - Date.parse(since) < describeGraceMs ? 'unknown' : 'stopped';
  }
  if (task.lastStatus === 'STOPPED') return 'stopped';
  if (task.desiredStatus === 'STOPPED') return 'stopping';
  return task.lastStatus === 'RUNNING' ? 'running' : 'coming';
}

export const taskEnd = (member: Member, observation: Observation): string => {
  const task = 'taskArn' in member && member.taskArn ? observation.tasks[member.taskArn] : undefined;
  return task?.stoppedReason ?? task?.stopCode ?? 'ECS does not know its task any more';
};
