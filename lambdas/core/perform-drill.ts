import { withProofShown } from './backup/conditions.ts';
import { markDamaged } from './backup/damage.ts';
import { tellOutcome, withDrill, withLoss } from './backup/drill.ts';
import { withBackups } from './backup/duty.ts';
import { type Performers, perform } from './perform.ts';
import type { Dispatcher, Log, NannyClient, TenantStore } from './ports.ts';
import type { DrillOutcome } from './step.ts';
import { type WorkDeps, workPerformers } from './work/perform-work.ts';

export interface DrillDeps extends WorkDeps {
  readonly store: Pick<TenantStore, 'getBackup' | 'putBackup'>;
  readonly nannies: Pick<NannyClient, 'hashKv'>;
  readonly dispatcher: Pick<Dispatcher, 'look'>;
  readonly log: Pick<Log, 'error'>;
}

/** The steps of a drill; what its worker needs are those of every worker. */
export function drillPerformers(deps: DrillDeps): Performers {
  const workers = workPerformers(deps);
  return {
    ...workers,

    async 'begin-drill'({ backupId, revision, witness, zone, order }, context) {
      const { tenant } = context;
      const member = tenant.members[witness];
      if (member?.state !== 'voting') throw new Error(`${witness} is no voter any more`);
      const live = await deps.nannies.hashKv({ tenant, ip: member.ip }, revision);
      // Two hashes compare only with the same compaction.
      const compacted = live.compactRevision > 0 ? { compactRevision: live.compactRevision } : {};
      const ordered = await perform(
        workers,
        { kind: 'order-work', purpose: 'drill', zone, order: { ...order, ...compacted } },
        context,
      );
      return {
        event: 'none',
        message: `Drill: backup ${backupId} and the changes behind it are restored up to revision ${revision}.`,
        mutate: (stored) => {
          const next = ordered.mutate?.(stored);
          if (next?.work === undefined) return undefined;
          const { hash } = live;
          const operationId =
            stored.operation?.kind === 'drill' ? { operationId: stored.operation.operationId } : {};
          const { name: worker } = next.work;
          return withBackups(next, { drill: { worker, backupId, revision, hash, witness, ...operationId } });
        },
      };
    },

    async 'note-drill'({ backupId, outcome }, { tenant, now }) {
      const { tenantId } = tenant;
      if (outcome.kind === 'proven') await prove(backupId, outcome, tenantId, now);
      if (outcome.kind === 'damaged') {
        const { problem } = outcome;
        const key = outcome.key ?? tenant.work?.order.source;
        const damaged = typeof key === 'object' ? (key.kind === 'full' ? key.key : undefined) : key;
        if (damaged) await markDamaged(deps.store, { tenantId, backupId, key: damaged, problem }, now);
      }
      const message = tellOutcome(backupId, outcome);
      if (outcome.kind === 'damaged' || outcome.kind === 'differs') await callForHelp(message, tenantId);
      return {
        message,
        mutate: (stored) =>
          stored.backups?.drill?.backupId === backupId
            ? withProofShown(withDrill(stored, backupId, outcome, now), now)
            : undefined,
      };
    },

    async 'note-loss'({ backupId, key, problem }, { tenant: { tenantId }, now }) {
      if (key !== undefined) await markDamaged(deps.store, { tenantId, backupId, key, problem }, now);
      const outcome = { kind: 'damaged', problem, ...(key && { key }) } as const;
      const message = tellOutcome(backupId, outcome);
      await callForHelp(message, tenantId);
      return { message, mutate: (stored) => withProofShown(withLoss(stored, backupId, outcome, now), now) };
    },
  };

  async function callForHelp(message: string, tenantId: string): Promise<void> {
    deps.log.error(message, { page: true, tenantId });
    // The operation ends with this look, and another full backup is wanted at once.
    await deps.dispatcher.look(tenantId, 'backup', 1);
  }

  async function prove(
    backupId: string,
    { kind: _kind, ...proof }: Extract<DrillOutcome, { kind: 'proven' }>,
    tenantId: string,
    now: Date,
  ): Promise<void> {
    const backup = await deps.store.getBackup(tenantId, backupId);
    if (backup) await deps.store.putBackup({ ...backup, proof: { at: now.toISOString(), ...proof } });
  }
}
