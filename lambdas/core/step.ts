import type { Member } from './model/member.ts';
import type { RestoreSource, TenantRecord } from './model/tenant.ts';
import type { TaskView } from './ports.ts';
import type { HashKvAnswer, NannyStatus } from './wire/admin.ts';

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
  /** This zone has been out since then: S4 lets the others double up once `zoneOutageHoldMinutes` have passed. */
  readonly zoneOut?: { readonly zone: string; readonly since: string };
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
  /** @param kept revisions of history that stay */
  | { readonly kind: 'compact'; readonly revision: number; readonly kept: number }
  | { readonly kind: 'defragment'; readonly member: string }
  | { readonly kind: 'disarm' }
  /** Snapshot of the best survivor to S3, without restarting it (S5). */
  | { readonly kind: 'save-survivor'; readonly member: string; readonly key: string }
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
  /** The work is done; writes the end of the operation and takes it off the record. */
  | { readonly kind: 'close-operation'; readonly message: string }
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
      /** Worth staying awake for: expected within a few seconds. */
      readonly soon?: boolean;
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
