import { clusterIdsSeen } from '../core/cluster-ids.ts';
import { dueShard } from '../core/due-shard.ts';
import { judgeHashes } from '../core/hashes.ts';
import { membersIn } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Leavers } from '../core/primitives/choose.ts';
import {
  chooseSuccessor,
  clearLeaving,
  converge,
  gather,
  type QuorumView,
  quorumView,
  recordPromoted,
  replaceDead,
  surgeReplace,
  tellOf,
  waitLong,
  waitSoon,
  zoneForNewcomer,
} from '../core/primitives/index.ts';
import { unownedMs } from '../core/remediation/detect.ts';
import { isFromStore } from '../core/remediation/from-store.ts';
import { launchAhead } from '../core/remediation/launch-ahead.ts';
import { planRecovery } from '../core/remediation/recovery.ts';
import { isShort, makeRoom, spaceOf } from '../core/remediation/space.ts';
import { giveUpStuck, misplaced, newcomerZone, uneven } from '../core/remediation/zones.ts';
import { isDead, sicknessOf } from '../core/sickness.ts';
import { type Decision, type Observation, step } from '../core/step.ts';

const blocked = (reason: string, recheckSeconds = 60): Decision => ({
  kind: 'blocked',
  reason,
  recheckSeconds,
});

/**
 * What is wrong → the next step towards a cluster that is well (design §7). Ordered by what must not wait: split
 * brain stops everything, then quorum, members, data, room, and last what is merely not as it should be.
 */
export function planRemediate(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: Leavers,
): Decision {
  const { zones } = context;
  const { remediation, paused } = tenant;
  if (remediation === undefined) return { kind: 'done' };
  const ids = clusterIdsSeen(tenant, observation);
  if (ids.size > 1) {
    return blocked(
      `members speak of different clusters (${[...ids].sort().join(', ')}): split brain; a person has to decide which one is the tenant's`,
    );
  }
  if (paused !== undefined) {
    return waitLong(
      'paused',
      `automation is paused since ${paused.since} by ${paused.by}: ${paused.reason}`,
      300,
    );
  }
  if (tenant.incarnation.state !== 'formed') {
    const clearing = clearLeaving(tenant, observation, now, undefined, 'the attempt given up');
    return clearing ?? gather(tenant, observation, now, zones);
  }
  const view = quorumView(tenant, observation, now);
  const { work } = tenant;
  if (work?.operationId === remediation.operationId && !isFromStore(remediation.recovery)) {
    return step({ kind: 'end-work', name: work.name, reason: 'it is not needed any more' });
  }
  return (
    recordPromoted(tenant, view) ??
    launchAhead(tenant, observation, now, view, zones) ??
    planRecovery(tenant, observation, now, view) ??
    healMembers(tenant, observation, now, view, zones) ??
    healData(tenant, observation, view) ??
    finishSurge(tenant, observation, now, view, context) ??
    makeRoom(tenant, observation, now, view) ??
    replaceAsked(tenant, observation, now, view) ??
    stopUnowned(tenant, observation, now) ??
    rebalance(tenant, observation, now, view, zones) ??
    end(tenant, observation, view)
  );
}

/** Dead ones out, newcomers in, those on their way out cleared away; then everybody has to be well. */
function healMembers(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
  zones: readonly string[],
): Decision | undefined {
  if (view.ambiguous) return waitSoon('wait-for-clear-view', view.ambiguous, 5);
  const sick = membersIn(tenant, 'voting').flatMap((member) => {
    const sickness = sicknessOf(tenant, member, observation, now);
    // One that was promoted a moment ago is on its way to ready for the first time.
    const coming = view.coming.some(({ name }) => name === member.name) && !isDead(sickness, now);
    return sickness.verdict === 'sick' && !coming ? [{ member, sickness }] : [];
  });
  const news = sick.filter(({ member }) => member.seen?.sickSince === undefined);
  if (news.length > 0) return step({ kind: 'note-sick', members: news.map(({ member }) => member.name) });
  const dead = sick.filter(({ sickness }) => isDead(sickness, now));
  const only = view.healthy.length <= view.quorum;
  // Whoever is gone for certain goes: that costs nothing, and one doubtful member alone is no zone.
  const doubtful = dead.length > 0 && dead.every(({ sickness }) => !sickness.certain);
  if (sick.length > 1 && only && doubtful) {
    const held = now.getTime() - Date.parse(tenant.remediation!.since);
    if (held < tenant.spec.zoneOutageHoldMinutes * 60_000) {
      return waitLong(
        'hold',
        `${tellOf(view, view.sick)}: more than one cannot be reached and quorum holds only just; they may come back (S2, S4)`,
        15,
      );
    }
  }
  const [first] = [...dead].sort((a, b) => Number(b.sickness.certain) - Number(a.sickness.certain));
  const stuck = giveUpStuck(tenant, now);
  if (stuck) return stuck;
  // One voter too many and nobody sick: a surge of ours or an operation's, which drains whom it takes out. Registering
  // every name here would undo that.
  const surging = view.voters.length > tenant.spec.members && sick.length === 0;
  const dying = first && { name: first.member.name, reason: first.sickness.problem };
  const healing = surging
    ? undefined
    : replaceDead(tenant, observation, now, dying, newcomerZone(tenant, now, zones));
  if (healing) return healing;
  const [waiting] = sick;
  if (waiting) {
    const { deadAt, problem } = waiting.sickness;
    const left = Math.max(1, Math.ceil((deadAt.getTime() - now.getTime()) / 1000));
    return waitSoon(
      'wait-for-member',
      `${waiting.member.name}: ${problem}; it is replaced if it has not come back by ${deadAt.toISOString()}`,
      Math.min(left, 15),
    );
  }
  const unwell = [...view.unsure, ...view.coming, ...view.sick];
  if (unwell.length === 0) return undefined;
  return waitSoon('wait-for-second-source', `not sure of ${tellOf(view, unwell)}`, 5);
}

/** CORRUPT: whose hash is not that of the majority has been replaced by healMembers; here the alarm goes. */
function healData(tenant: TenantRecord, observation: Observation, view: QuorumView): Decision | undefined {
  const corrupt = Object.values(observation.nannies).some(
    (nanny) => nanny.reachable && nanny.status.alarms.some(({ alarm }) => alarm === 'CORRUPT'),
  );
  if (!corrupt) return undefined;
  const { hashes = {} } = observation;
  const missing = view.voters.filter((voter) => !(voter.name in hashes)).map((voter) => voter.name);
  const { agreed } = judgeHashes(hashes, view.voters.length);
  if (agreed.length === 0) {
    return missing.length > 0
      ? waitSoon('compare-hashes', `no hash from ${missing.join(', ')} yet`, 5)
      : blocked(
          `the data of the members of ${tenant.tenantId} differs and no majority agrees: nothing is repaired automatically; compare HashKV of each member, or restore from a backup`,
          300,
        );
  }
  if (missing.length > 0) return waitSoon('compare-hashes', `no hash from ${missing.join(', ')} yet`, 5);
  return step({ kind: 'disarm' });
}

/** The newcomer of a surge of ours votes: the other one leaves. While an operation is under way it is the operation's. */
function finishSurge(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
  context: Leavers,
): Decision | undefined {
  if (view.voters.length <= tenant.spec.members || tenant.operation !== undefined) return undefined;
  return converge(tenant, observation, now, context);
}

/** A gray member, or one whose task AWS is going to retire: leadership away at once, then another one by surge. */
function replaceAsked(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const asked = tenant.replaceRequests ?? {};
  for (const [name, reason] of Object.entries(asked)) {
    const member = tenant.members[name];
    if (member?.state !== 'voting') continue;
    if (tenant.spec.members > 1 && view.leader?.name === name) {
      const to = chooseSuccessor(tenant, observation, view, name);
      // One that is to be replaced itself would hand leadership straight back.
      if (to && !(to.name in asked)) return step({ kind: 'move-leadership', from: name, to: to.name });
    }
    // The newcomer is an operation's, in the zone of the one that leaves for it: the operation finishes its surge, then
    // takes the request along.
    if (tenant.operation !== undefined && view.voters.length > tenant.spec.members) continue;
    return surgeReplace(tenant, observation, now, { name, reason }, { zone: member.zone });
  }
  return undefined;
}

function stopUnowned(tenant: TenantRecord, observation: Observation, now: Date): Decision | undefined {
  const alive = Object.entries(tenant.unowned ?? {})
    .filter(([, since]) => now.getTime() - Date.parse(since) >= unownedMs)
    .flatMap(([taskArn]) => observation.tasks[taskArn] ?? [])
    .filter((task) => task.lastStatus !== 'STOPPED');
  const running = alive.filter((task) => task.desiredStatus !== 'STOPPED').map((task) => task.taskArn);
  if (running.length > 0) {
    return step({ kind: 'stop-tasks', taskArns: running.sort(), reason: 'no member owns this task' });
  }
  return alive.length > 0
    ? waitSoon('wait-for-stop', 'tasks that no member owns are stopping', 5)
    : undefined;
}

/** A zone that was out is back: whoever doubles up elsewhere is replaced there by surge, if a task can run there. */
function rebalance(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
  zones: readonly string[],
): Decision | undefined {
  // One voter too many of an operation's surge stands where it has to: two in a zone for a moment.
  const surging = tenant.operation !== undefined && view.voters.length > tenant.spec.members;
  if (surging || !uneven(tenant, zones)) return undefined;
  const zone = zoneForNewcomer(tenant, zones, dueShard(tenant.tenantId) % zones.length);
  const old = misplaced(tenant, view, zones, zone);
  if (old === undefined) return undefined;
  if (tenant.remediation?.zoneOut?.zone === zone) {
    const message = `Members double up: nothing can be started in ${zone}. It is tried again every few minutes.`;
    return step({ kind: 'end-remediation', message, tried: 'rebalance' });
  }
  return surgeReplace(
    tenant,
    observation,
    now,
    { name: old.name, reason: `${zone} is back and ${old.zone} holds one too many` },
    { zone },
  );
}

function end(tenant: TenantRecord, observation: Observation, view: QuorumView): Decision {
  const { remediation } = tenant;
  const space = spaceOf(tenant, observation);
  const members = `${view.healthy.length} of ${view.voters.length} members are healthy`;
  const full = isShort(space) ? ' The database is nearly full.' : '';
  const message = `Well again: ${members}.${full} It was: ${remediation!.reason}`;
  return step({ kind: 'end-remediation', message: message.slice(0, 900) });
}
