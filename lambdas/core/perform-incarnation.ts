import { withoutBackoff } from './backoff.ts';
import { markDamaged, withDoubt } from './backup/damage.ts';
import { withLeftDisks } from './left-disks.ts';
import { membersOf } from './members.ts';
import type { Pin, RestoreSource } from './model/restore.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Performers } from './perform.ts';
import type { Clock, Ids, TenantStore } from './ports.ts';
import { statusOf } from './primitives/quorum-view.ts';
import { bumpFor, fencingOf } from './restore/source.ts';

export interface IncarnationDeps {
  readonly ids: Pick<Ids, 'clusterToken'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly store: Pick<TenantStore, 'getOperation' | 'putOperation' | 'getBackup' | 'putBackup'>;
}

/** What a new incarnation needs: a source that a worker has prepared, and the step over. */
export function incarnationPerformers(deps: IncarnationDeps): Performers {
  return {
    async 'keep-prepared'({ operationId, result }, { now }) {
      const { revision, keys, hash, leases, replayed, lastSeenAt, seconds, output } = result;
      const at = now.toISOString();
      const sourceFor = (tenant: TenantRecord, { from, incarnation }: Pin): RestoreSource => ({
        kind: 'backup',
        ...output,
        revision,
        bumpRevision: bumpFor(tenant, revision),
        madeOf: { tenantId: from, incarnation },
      });
      return {
        message: `Prepared: revision ${revision}, ${keys} keys, ${replayed} revisions replayed, ${output.bytes} bytes, in ${seconds} s.`,
        recordsWhatExists: true,
        mutate: (tenant) => {
          const { restore, remediation, incarnation } = tenant;
          if (restore?.operationId === operationId && restore.prepared === undefined) {
            const source = sourceFor(tenant, restore.pin);
            const seen = lastSeenAt === undefined ? {} : { lastSeenAt };
            const prepared = { at, source, keys, hash, leases, replayed, ...seen, seconds };
            // A clone has no cluster to give up: it gathers from this.
            const begin =
              tenant.status.phase === 'creating' && incarnation.state === 'gathering'
                ? { incarnation: { ...incarnation, restore: source } }
                : {};
            return { ...tenant, ...begin, restore: { ...restore, prepared } };
          }
          const recovery = remediation?.recovery;
          if (remediation?.operationId !== operationId || !recovery?.pin || recovery.source) return undefined;
          const source = sourceFor(tenant, recovery.pin);
          return { ...tenant, remediation: { ...remediation, recovery: { ...recovery, source } } };
        },
      };
    },

    async 'begin-restore'({ operationId }, { tenant: known, observation, now }) {
      // The last that is heard of them: what they write until they are stopped nobody counts.
      const seen = membersOf(known).map(
        ({ name }) => statusOf(name, known, observation)?.self?.revision ?? 0,
      );
      return {
        event: 'decided',
        message: 'What is to be restored is safe. The cluster stops serving now.',
        mutate: (tenant) => {
          const { restore, operation } = tenant;
          if (operation?.operationId !== operationId || restore?.operationId !== operationId)
            return undefined;
          if (restore.prepared === undefined || restore.fencedAt !== undefined) return undefined;
          const since = now.toISOString();
          const { revision } = restore.prepared.source;
          return {
            ...tenant,
            restore: {
              ...restore,
              fencedAt: since,
              knownRevision: Math.max(restore.knownRevision, tenant.highestRevision, ...seen),
            },
            status: {
              phase: 'recovering',
              conditions: tenant.status.conditions,
              since,
              reason: `it is being restored to revision ${revision}`,
            },
          };
        },
      };
    },

    async 'new-incarnation'({ incarnation: number, source }, { tenant: known, now }) {
      const token = deps.ids.clusterToken();
      // Nothing of what was broken is there any more: a repair that waited has nothing left to do.
      const overtaken = fencingOf(known)?.by === 'recover' ? undefined : known.remediation;
      if (overtaken !== undefined) await closeOvertaken(deps, known.tenantId, overtaken.operationId);
      return {
        event: 'decided',
        message: `Every old task is stopped. Incarnation ${number + 1} begins from revision ${source.revision}; revisions go on from ${source.revision + source.bumpRevision}.`,
        mutate: (tenant) => {
          const { incarnation } = tenant;
          const fencing = fencingOf(tenant);
          if (incarnation.number !== number || incarnation.state !== 'formed') return undefined;
          if (fencing?.source.key !== source.key) return undefined;
          const { replaceRequests: _requests, remediation, restore, ...stored } = withLeftDisks(tenant, now);
          const at = now.toISOString();
          // The old members leave the record: join tells whoever is started by hand to leave.
          return withoutBackoff({
            ...stored,
            members: {},
            incarnation: { state: 'gathering', number: number + 1, token, restore: source },
            ...(fencing.by === 'recover' && remediation && { remediation: begun(remediation) }),
            ...(restore && { restore: fencing.by === 'restore' ? { ...restore, begunAt: at } : restore }),
            ...(fencing.by === 'wake' && {
              status: {
                phase: 'recovering' as const,
                conditions: tenant.status.conditions,
                since: at,
                reason: 'it is woken up',
              },
            }),
          });
        },
      };
    },

    async 'note-failed'({ operationId, reason, damagedKey: key }, { tenant: { restore, tenantId }, now }) {
      const pin = restore?.operationId === operationId ? restore.pin : undefined;
      const damage =
        pin && key !== undefined ? { tenantId: pin.from, backupId: pin.backupId, key } : undefined;
      if (damage) await markDamaged(deps.store, { ...damage, problem: reason }, now);
      return {
        message: `Nothing comes of it: ${reason}.`,
        mutate: (tenant) => {
          if (tenant.restore?.operationId !== operationId || tenant.restore.failed !== undefined)
            return undefined;
          const failed = { ...tenant, restore: { ...tenant.restore, failed: reason } };
          return damage?.tenantId === tenantId ? withDoubt(failed, damage.backupId, reason, now) : failed;
        },
      };
    },

    async 'condemn-backup'({ backupId, key, problem }, { tenant: { tenantId }, now }) {
      await markDamaged(deps.store, { tenantId, backupId, key, problem }, now);
      return {
        message: `${key} is damaged (${problem}): what can be had without it is chosen.`,
        mutate: (tenant) => {
          const { remediation } = tenant;
          if (remediation?.recovery?.pin?.backupId !== backupId) return undefined;
          // Whoever agreed to a loss has agreed to that one only.
          const { recovery: _recovery, approved: _approved, ...rest } = remediation;
          return withoutBackoff({ ...tenant, remediation: rest });
        },
      };
    },

    async 'fail-create'({ reason }, { now }) {
      return {
        message: reason,
        mutate: (tenant) =>
          tenant.status.phase === 'creating'
            ? withoutBackoff({
                ...tenant,
                status: {
                  phase: 'failed',
                  conditions: tenant.status.conditions,
                  since: now.toISOString(),
                  reason,
                },
              })
            : undefined,
      };
    },
  };
}

type Remediation = NonNullable<TenantRecord['remediation']>;

function begun(remediation: Remediation): Remediation {
  const { recovery: _r, approved: _a, quorumLostSince: _q, space: _s, ...rest } = remediation;
  return rest;
}

async function closeOvertaken(deps: IncarnationDeps, tenantId: string, operationId: string): Promise<void> {
  const operation = await deps.store.getOperation(tenantId, operationId);
  if (operation === undefined || operation.endedAt !== undefined) return;
  const at = deps.clock.now().toISOString();
  const message = 'Overtaken: the whole cluster is replaced by a new incarnation.';
  await deps.store.putOperation({ ...operation, state: 'failed', message, updatedAt: at, endedAt: at });
}
