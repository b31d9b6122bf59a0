import type { TenantRecord } from '../model/tenant.ts';
import { waitLong } from '../primitives/decide.ts';
import type { QuorumView } from '../primitives/quorum-view.ts';
import { type Catalogue, type Decision, type DrillOutcome, type Observation, step } from '../step.ts';
import type { WorkResult } from '../wire/work.ts';
import { followWork, type WorkFailure } from '../work/follow-work.ts';
import { chooseBackup, orderOf } from './choose.ts';
import { withDoubt } from './damage.ts';
import { holderOf, withBackups } from './duty.ts';
import { retain } from './retention.ts';
import { nextDrillAt } from './schedule.ts';

/** Its worker wakes us when it has something to say. */
const patienceSeconds = 30;

/** The drill under way, or the one that is due: a real restore, compared with the cluster that it was taken of. */
export function decideDrill(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const { work, backups } = tenant;
  if (work?.purpose === 'drill') {
    const { name } = work;
    const drill = backups?.drill;
    // A task that tries again has another name, and does the same drill.
    if (drill === undefined || (work.attempt === 1 && drill.worker !== name))
      return step({ kind: 'end-work', name, reason: 'the drill is over' });
    const seen = followWork(tenant, observation, now);
    switch (seen.kind) {
      case 'decision':
        return seen.decision.kind === 'wait'
          ? waitLong(seen.decision.name, seen.decision.reason, patienceSeconds)
          : seen.decision;
      case 'done':
        return step({ kind: 'note-drill', backupId: drill.backupId, outcome: judge(drill, seen.result) });
      case 'failed':
        return step({ kind: 'note-drill', backupId: drill.backupId, outcome: blame(seen.failure) });
    }
  }
  const { catalogue } = observation;
  if (work !== undefined || !isDrillDue(tenant, now) || catalogue === undefined) return undefined;
  const gone = goneBackup(tenant, catalogue, now);
  if (gone !== undefined) return gone;
  const choice = chooseBackup({ kind: 'newest' }, catalogue);
  if (choice.kind === 'none' || choice.full.incarnation !== tenant.incarnation.number) {
    return giveUp(tenant, choice.kind === 'none' ? choice.problem : 'this cluster has no full backup yet');
  }
  const gap = choice.gap ?? missingEnd(tenant, choice.revision);
  const { revision, full } = choice;
  if (gap !== undefined) {
    const problem = `no usable segment behind it holds ${gap.from === gap.to ? `revision ${gap.from}` : `revisions ${gap.from} to ${gap.to}`}, which had been stored`;
    return step({ kind: 'note-loss', backupId: full.backupId, problem });
  }
  const witness = view.healthy.find((voter) => voter !== view.leader) ?? view.healthy[0];
  if (witness === undefined)
    return waitLong('wait-for-witness', 'no healthy member can be compared with', 15);
  return step({
    kind: 'begin-drill',
    backupId: full.backupId,
    revision,
    witness: witness.name,
    zone: witness.zone,
    order: { ...orderOf(choice, tenant.cell, tenant.spec.version), until: { revision } },
  });
}

/** Not while something goes on: it would be the drill's to give way. One that was asked for comes at once. */
export const isDrillDue = (tenant: TenantRecord, now: Date): boolean => {
  const { operation, work, status } = tenant;
  if (work !== undefined) return false;
  if (operation !== undefined) return operation.kind === 'drill' && !isTold(tenant);
  const at = nextDrillAt(tenant);
  return status.phase === 'available' && at !== undefined && at <= now;
};

/** What the drill came to that an operation waits for. */
export const isTold = ({ operation, backups }: TenantRecord): boolean =>
  operation !== undefined && backups?.drillTold?.operationId === operation.operationId;

/** "Prove it now" ends with what its drill came to; the worker first. */
export function endDrill(tenant: TenantRecord): Decision | undefined {
  if (tenant.operation?.kind !== 'drill' || !isTold(tenant) || tenant.work?.purpose === 'drill')
    return undefined;
  const { failed, message } = tenant.backups!.drillTold!;
  return step({ kind: 'close-operation', message, ...(failed && { failed }) });
}

function giveUp({ operation }: TenantRecord, problem: string): Decision | undefined {
  if (operation?.kind !== 'drill') return undefined;
  return step({ kind: 'close-operation', failed: true, message: `There is nothing to restore: ${problem}.` });
}

/**
 * A full backup that is to be kept and is not in the bucket: names tell, and a worker may not be told (without the right
 * to list a whole bucket S3 answers 403 of what is missing).
 */
function goneBackup(tenant: TenantRecord, catalogue: Catalogue, now: Date): Decision | undefined {
  const there = new Set(catalogue.objects.map(({ key }) => key));
  const { keep } = retain(catalogue, tenant.spec.backup.pointInTimeHours, now);
  const gone = keep.backups.find(({ key, damaged }) => damaged === undefined && !there.has(key));
  if (gone === undefined) return undefined;
  const { backupId, key } = gone;
  return step({ kind: 'note-loss', backupId, key, problem: 'its object is not in the bucket any more' });
}

/** What the shipping nanny has stored for certain, and no segment holds. */
function missingEnd(tenant: TenantRecord, revision: number): { from: number; to: number } | undefined {
  const to = holderOf(tenant)?.shippedRevision ?? 0;
  return to > revision ? { from: revision + 1, to } : undefined;
}

type Drill = NonNullable<NonNullable<TenantRecord['backups']>['drill']>;

function judge(drill: Drill, result: WorkResult): DrillOutcome {
  const { revision, keys, hash, seconds } = result;
  if (revision === drill.revision && hash === drill.hash) {
    return { kind: 'proven', revision, keys, hash, seconds };
  }
  const problem =
    revision === drill.revision
      ? `restored, it has hash ${hash} at revision ${revision}, and ${drill.witness} has ${drill.hash}`
      : `restored, it ends at revision ${revision} instead of ${drill.revision}`;
  return { kind: 'differs', problem };
}

function blame({ code, problem, key }: WorkFailure): DrillOutcome {
  if (code === 'passing') return { kind: 'failed', problem };
  return { kind: 'damaged', problem, ...(key !== undefined && { key }) };
}

/** What a drill has found, on the record. */
export function withDrill(
  tenant: TenantRecord,
  backupId: string,
  outcome: DrillOutcome,
  now: Date,
): TenantRecord {
  const at = now.toISOString();
  const { drill, retryDrill: _retry, doubt, ...backups } = tenant.backups ?? {};
  const told = drill?.operationId && {
    drillTold: {
      operationId: drill.operationId,
      failed: outcome.kind !== 'proven',
      message: tellOutcome(backupId, outcome),
    },
  };
  const next = { ...tenant, backups: { ...backups, ...told, drilledAt: at } };
  switch (outcome.kind) {
    case 'proven': {
      const { kind: _kind, ...proof } = outcome;
      return withBackups(next, { proof: { at, backupId, ...proof } });
    }
    case 'failed':
      return withBackups(next, { ...(doubt && { doubt }), retryDrill: true });
    case 'differs':
    case 'damaged':
      return withDoubt(doubt ? withBackups(next, { doubt }) : next, backupId, outcome.problem, now);
  }
}

/** What names alone have told: the drill that was to begin is over before. */
export function withLoss(
  tenant: TenantRecord,
  backupId: string,
  outcome: Extract<DrillOutcome, { kind: 'damaged' }>,
  now: Date,
): TenantRecord {
  const { operation } = tenant;
  const message = tellOutcome(backupId, outcome);
  const told =
    operation?.kind === 'drill'
      ? { drillTold: { operationId: operation.operationId, failed: true, message } }
      : {};
  const next = withBackups(tenant, { ...told, drilledAt: now.toISOString() });
  return withDoubt(next, backupId, outcome.problem, now);
}

/** For the timeline, and the end of an operation. */
export function tellOutcome(backupId: string, outcome: DrillOutcome): string {
  switch (outcome.kind) {
    case 'proven':
      return `Drill: backup ${backupId} is proven: ${outcome.keys} keys at revision ${outcome.revision}, the same hash as in the cluster, in ${outcome.seconds.toFixed(1)} s.`;
    case 'differs':
      return `Drill: backup ${backupId} is not what the cluster holds: ${outcome.problem}. Another full backup is taken at once.`;
    case 'damaged':
      return `Drill: backup ${backupId} cannot be restored: ${withoutStop(outcome.problem)}${outcome.key && !outcome.problem.includes(outcome.key) ? ` (${outcome.key})` : ''}. Another full backup is taken at once.`;
    case 'failed':
      return `Drill of backup ${backupId} came to nothing: ${withoutStop(outcome.problem)}. It is tried again.`;
  }
}

const withoutStop = (text: string): string => text.replace(/\.$/, '');
