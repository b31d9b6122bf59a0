import { clusterIdsSeen } from './cluster-ids.ts';
import { membersIn, wantedMembers } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import { hibernationOf } from './restore/source.ts';
import { trustBeforeUse } from './safety-authority.ts';
import { currentSource, keptStays, savedBeforeDeleted } from './safety-backup.ts';
import { disksFirst, disksStay } from './safety-disks.ts';
import {
  keepQuorum,
  oneMembershipChange,
  spreadWithNewcomer,
  spreadWithoutMember,
} from './safety-members.ts';
import { bestSource, isFencing, neverTakenBack, ownKeysOnly, recoverSafely } from './safety-recovery.ts';
import { spreadProblem } from './spread.ts';
import type { Observation, Step } from './step.ts';

export type RuleNumber = 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'S6' | 'S7' | 'S8' | 'S9' | 'S10';

export type Verdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly rule: RuleNumber; readonly reason: string };

export interface SafetyContext {
  readonly step: Step;
  readonly tenant: TenantRecord;
  readonly observation: Observation;
  readonly now: Date;
  /** All zones of the tenant's cell. */
  readonly zones: readonly string[];
}

/** Says why the step must not be taken, or undefined. */
export type Rule = (context: SafetyContext) => string | undefined;

/**
 * Every step of every plan passes through here, and so does what join tells a nanny to boot. Nothing else may call
 * the ports that change membership. Rules are independent: the first that refuses names itself.
 */
export function checkStep(context: SafetyContext): Verdict {
  for (const [rule, refuses] of Object.entries(rules) as [RuleNumber, Rule][]) {
    const reason = refuses(context);
    if (reason !== undefined) return { allowed: false, rule, reason };
  }
  return { allowed: true };
}

const beingDeleted = (tenant: TenantRecord): boolean => tenant.status.phase === 'deleting';

/** Never take a healthy voter's task away from a living cluster. */
const keepVoters: Rule = (context) => {
  const { step, tenant, observation } = context;
  if (beingDeleted(tenant)) return undefined;
  if (step.kind !== 'stop-tasks') return keepQuorum(context);
  // A recovery stops everybody on purpose: S5 says when.
  if (isFencing(tenant)) return undefined;
  // Before its last snapshot a cluster that goes to sleep is brought down to one member.
  const last = hibernationOf(tenant)?.member;
  const stays = last === undefined ? undefined : tenant.members[last];
  if (stays?.state === 'voting' && observation.names.length === 0) {
    return step.taskArns.includes(stays.taskArn) ? `${last} has not been saved yet` : undefined;
  }
  const voters = membersIn(tenant, 'learner', 'voting').filter((member) =>
    step.taskArns.includes(member.taskArn),
  );
  if (voters.length === 0) return undefined;
  return `${voters.map((member) => member.name).join(', ')} is a member of the cluster: it has to leave etcd before its task is stopped`;
};

/** At most one membership change in flight; initial members are only chosen before the cluster boots. */
const oneChangeAtATime: Rule = (context) => {
  const { step, tenant } = context;
  if (tenant.incarnation.state === 'formed') return oneMembershipChange(context);
  if (step.kind !== 'request-members') return undefined;
  if (tenant.incarnation.state === 'booting') {
    return 'initial members are only chosen before the cluster boots, and this one is booting';
  }
  const wanted = wantedMembers(tenant).length + step.zones.length;
  return wanted > tenant.spec.members
    ? `${wanted} members would be wanted and the spec says ${tenant.spec.members}`
    : undefined;
};

/** A cluster is bootstrapped once: `new` is never given again after its id is latched. */
const bootOnce: Rule = ({ step, tenant }) => {
  const { incarnation } = tenant;
  switch (step.kind) {
    case 'boot-new': {
      if (incarnation.state === 'formed') {
        return `incarnation ${incarnation.number} has formed as cluster ${incarnation.clusterId}; a member that starts as new would found another`;
      }
      if (incarnation.number !== step.incarnation) {
        return `incarnation ${step.incarnation} is over, ${incarnation.number} is the present one`;
      }
      if (incarnation.state !== 'booting' || !(step.member in incarnation.initialCluster)) {
        return `${step.member} is not in an initial cluster that has been told to boot`;
      }
      return undefined;
    }
    case 'abandon-incarnation':
      return incarnation.state === 'formed'
        ? `incarnation ${incarnation.number} has formed as cluster ${incarnation.clusterId} and may hold data`
        : undefined;
    case 'latch-cluster':
      return incarnation.state === 'formed' && incarnation.clusterId !== step.clusterId
        ? `cluster ${incarnation.clusterId} is latched for incarnation ${incarnation.number} already`
        : undefined;
    default:
      return undefined;
  }
};

/** Voters per zone differ by at most one; never a majority in one zone. */
const spread: Rule = (context) => {
  const { step, tenant, zones } = context;
  const formed = tenant.incarnation.state === 'formed';
  if (step.kind === 'remove-member' && formed) return spreadWithoutMember(step.member, context);
  if (step.kind !== 'request-members') return undefined;
  const unknown = step.zones.find((zone) => !zones.includes(zone));
  if (unknown) return `${unknown} is not a zone of this cell (${zones.join(', ')})`;
  if (formed) return spreadWithNewcomer(step, context);
  return spreadProblem(zones, [...wantedMembers(tenant).map((member) => member.zone), ...step.zones]);
};

/** All members of a tenant speak of one cluster. Delete may go on: it ends the ambiguity. */
const oneCluster: Rule = ({ step, tenant, observation }) => {
  if (beingDeleted(tenant)) return undefined;
  const ids = clusterIdsSeen(tenant, observation);
  if (step.kind === 'latch-cluster') ids.add(step.clusterId);
  return ids.size > 1
    ? `members speak of different clusters (${[...ids].sort().join(', ')}): split brain, nothing is done automatically`
    : undefined;
};

/** The source that reaches furthest; and what may yet be one stays. */
const best: Rule = (context) =>
  bestSource(context) ?? disksFirst(context) ?? disksStay(context) ?? neverTakenBack(context);

/** Nothing is written over, and nothing stale becomes a backup. */
const backupsStay: Rule = (context) =>
  ownKeysOnly(context) ?? currentSource(context) ?? keptStays(context) ?? savedBeforeDeleted(context);

const rules: Partial<Record<RuleNumber, Rule>> = {
  S1: keepVoters,
  S2: oneChangeAtATime,
  S3: bootOnce,
  S4: spread,
  S5: recoverSafely,
  S6: best,
  S7: backupsStay,
  S9: oneCluster,
  S10: trustBeforeUse,
};
