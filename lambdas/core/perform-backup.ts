import { lastOf, runningOf, withBackups, withoutTrouble, withTrouble } from './backup/duty.ts';
import { dutyOf } from './duty.ts';
import { type Backup, deltaPrefix, fullPrefix, readDeltaName } from './model/backup.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Outcome, Performers } from './perform.ts';
import type {
  BackupObjects,
  Cell,
  Clock,
  Dispatcher,
  Ids,
  NannyClient,
  NannyTarget,
  TenantStore,
} from './ports.ts';
import { statusOf } from './primitives/quorum-view.ts';
import { tellTransfer } from './transfer.ts';

/** What an operation needs to have a backup taken; whoever can want one has this hand. */
export function wantBackupPerformers(deps: { readonly dispatcher: Pick<Dispatcher, 'look'> }): Performers {
  return {
    async 'want-backup'({ reason, operationId }, { tenant: known, now }) {
      // Sent before it is saved, and late enough to find it: the sweep would come too, but only in a while.
      await deps.dispatcher.look(known.tenantId, 'backup', 1);
      return {
        event: 'none',
        message: 'A full backup is asked for.',
        mutate: (tenant) =>
          tenant.backups?.wanted?.operationId === operationId
            ? undefined
            : withBackups(tenant, { wanted: { reason, since: now.toISOString(), operationId } }),
      };
    },
  };
}

/** Sent before it is saved: what the record says to be on its way surely is. */
export function callForBackupPerformers(deps: { readonly dispatcher: Pick<Dispatcher, 'look'> }): Performers {
  return {
    async 'call-for-backup'(_step, { tenant: { tenantId }, now }) {
      await deps.dispatcher.look(tenantId, 'backup');
      return {
        event: 'none',
        message: 'The backup is asked for once more.',
        mutate: (tenant) => ({ ...tenant, recheckBeside: { duty: 'backup', at: now.toISOString() } }),
      };
    },
  };
}

export interface BackupDeps {
  readonly cell: Cell;
  readonly store: Pick<TenantStore, 'putBackup' | 'removeBackup'>;
  readonly objects: Pick<BackupObjects, 'remove'>;
  readonly nannies: Pick<NannyClient, 'snapshot' | 'backup'>;
  readonly dispatcher: Pick<Dispatcher, 'look'>;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'ulid'>;
}

/** The steps of backups: each is written on the record before or while a nanny is told, and idempotent by its key. */
export function backupPerformers(deps: BackupDeps): Performers {
  const { cell, nannies } = deps;
  return {
    ...wantBackupPerformers(deps),

    async 'begin-backup'({ member, reason }, { tenant: known, observation, now }) {
      const backupId = deps.ids.ulid();
      const authRevision = statusOf(member, known, observation)?.authRevision;
      const users = authRevision === undefined ? {} : { authRevision };
      return {
        event: 'none',
        message: `${member} is asked for a full backup.`,
        mutate: (tenant) => {
          if (runningOf(tenant) !== undefined) return undefined;
          const operationId = tenant.backups?.wanted?.operationId;
          const { number: incarnation } = tenant.incarnation;
          const key = `${fullPrefix(tenant.cell, tenant.tenantId, incarnation)}${backupId}.snap`;
          const begun = { backupId, key, incarnation, member, reason, startedAt: now.toISOString() };
          const running = { ...begun, ...(operationId && { operationId }), ...users };
          return withBackups(tenant, { running });
        },
      };
    },

    async 'follow-backup'({ backupId }, { tenant, observation, now }) {
      const running = runningOf(tenant);
      const target = running && targetOf(tenant, running.member);
      if (running?.backupId !== backupId || target === undefined) return notYet('another one is under way');
      const { key, member, reason } = running;
      const request = { bucket: cell.backupBucket, key };
      const progress = await nannies.snapshot(target, tenant.fence, request);
      const tookMs = now.getTime() - Date.parse(running.startedAt);
      if (progress.state === 'running') {
        return notYet(
          `${member} writes it to S3: ${tellTransfer(progress.bytes, progress.totalBytes, tookMs)}`,
        );
      }
      if (progress.state === 'failed') throw new Error(`${member}: ${progress.problem}`);
      const { bytes, sha256, revision } = progress;
      const contentAt = progress.contentAt ?? running.startedAt;
      const endedAt = now.toISOString();
      const etcdVersion =
        statusOf(member, tenant, observation)?.self?.version ?? tenant.members[member]?.made?.version;
      const backup: Backup = {
        backupId,
        tenantId: tenant.tenantId,
        incarnation: running.incarnation,
        key,
        sha256,
        bytes,
        revision,
        etcdVersion: etcdVersion ?? tenant.spec.version,
        member,
        reason,
        startedAt: running.startedAt,
        contentAt,
        endedAt,
      };
      await deps.store.putBackup(backup);
      const waiting = dutyOf(tenant);
      if (running.operationId !== undefined && waiting !== 'backup') {
        await deps.dispatcher.look(tenant.tenantId, waiting, 1);
      }
      // Whoever asks for the condition next should find it as it is.
      if (!isFresh(tenant)) await deps.dispatcher.look(tenant.tenantId, 'sweep', 1);
      return {
        message: `Backup ${backupId} (${reason}): revision ${revision}, ${mebibytes(bytes)} in ${seconds(tookMs)}, by ${member}.`,
        mutate: (stored) => {
          if (runningOf(stored)?.backupId !== backupId) return undefined;
          const { running: _running, wanted, ...rest } = withoutTrouble(stored.backups!);
          const still = wanted !== undefined && Date.parse(wanted.since) > Date.parse(running.startedAt);
          const { operationId, incarnation, startedAt, authRevision } = running;
          const users = authRevision === undefined ? {} : { authRevision };
          return {
            ...stored,
            backups: {
              ...rest,
              ...(still && { wanted }),
              ...(operationId && { taken: { operationId, backupId } }),
              last: {
                backupId,
                incarnation,
                revision,
                bytes,
                reason,
                startedAt,
                contentAt,
                endedAt,
                ...users,
              },
            },
          };
        },
      };
    },

    async 'abandon-backup'({ backupId, reason }) {
      return {
        message: `Backup ${backupId} is given up: ${reason}. Another one is taken.`,
        mutate: (tenant) => {
          if (tenant.backups?.running?.backupId !== backupId) return undefined;
          const { running: _running, ...backups } = withoutTrouble(tenant.backups);
          return { ...tenant, backups };
        },
      };
    },

    async 'ship-changes'({ member, chain, afterRevision, why }, { tenant, now }) {
      const target = targetOf(tenant, member);
      if (target === undefined) return notYet(`${member} is no voter any more`);
      const { number: incarnation } = tenant.incarnation;
      const prefix = deltaPrefix(tenant.cell, tenant.tenantId, incarnation);
      const order = { ship: true, chain, bucket: cell.backupBucket, prefix, afterRevision } as const;
      await nannies.backup(target, tenant.fence, order);
      return {
        event: 'decided',
        message: `${member} ships the changes after revision ${afterRevision} to S3: ${why}.`,
        mutate: (stored) => {
          if (stored.incarnation.number !== incarnation) return undefined;
          const before = stored.backups?.holder;
          const upToDateAt =
            before?.chain === chain ? before.upToDateAt : (lastOf(stored)?.contentAt ?? now.toISOString());
          const since = now.toISOString();
          const next = { member, incarnation, chain, since, shippedRevision: afterRevision, upToDateAt };
          const stuck = before?.problem !== undefined && before.shippedRevision === afterRevision;
          return withBackups(stored, {
            holder: { ...next, ...(stuck && { inVain: (before.inVain ?? 0) + 1 }) },
          });
        },
      };
    },

    async 'stop-shipping'({ member }, { tenant }) {
      const target = targetOf(tenant, member);
      if (target === undefined) return notYet(`${member} is no voter any more`);
      await nannies.backup(target, tenant.fence, { ship: false });
      return { message: `${member} ships changes no longer: another one does.` };
    },

    async 'prune-backups'({ backupIds, keys, whole }, { tenant, now }) {
      const own = `${tenant.cell}/${tenant.tenantId}/`;
      const foreign = keys.find((key) => !key.startsWith(own));
      if (foreign !== undefined) throw new Error(`${foreign} is not below ${own}`);
      await deps.objects.remove(keys);
      for (const backupId of backupIds) await deps.store.removeBackup(tenant.tenantId, backupId);
      const isSegment = (key: string): boolean => readDeltaName(key, 0) !== undefined;
      const segments = keys.filter(isSegment).length;
      const loose = keys.length - backupIds.length - segments;
      const more = loose > 0 ? `, and ${loose} snapshots that nothing is restored from any more` : '';
      return {
        event: keys.length > 0 ? 'done' : 'none',
        message: `Retention: ${backupIds.length} full backups and ${segments} segments are deleted${more}.`,
        ...(whole && { mutate: (stored) => withBackups(stored, { prunedAt: now.toISOString() }) }),
      };
    },
  };
}

/** For `Work.beside`. */
export const backupFailure = {
  withFailure: withTrouble,
  failure: (tenant: TenantRecord) => tenant.backups?.trouble,
};

function targetOf(tenant: TenantRecord, name: string): NannyTarget | undefined {
  const member = tenant.members[name];
  return member?.state === 'voting' ? { tenant, ip: member.ip } : undefined;
}

const isFresh = ({ status }: TenantRecord): boolean =>
  status.conditions.some((entry) => entry.type === 'BackupFresh' && entry.status === 'True');

const notYet = (reason: string): Outcome => ({ message: reason, notYet: reason });

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const seconds = (ms: number): string => `${Math.max(0, ms / 1_000).toFixed(1)} s`;
