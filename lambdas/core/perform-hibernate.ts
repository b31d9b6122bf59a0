import { withoutBackoff } from './backoff.ts';
import { TransientError } from './errors.ts';
import { withLeftDisks } from './left-disks.ts';
import { fullPrefix } from './model/backup.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Performers } from './perform.ts';
import { attempt, fenceOf, notYet } from './perform-members.ts';
import type { Cell, Ids, NannyClient, TenantStore } from './ports.ts';
import { bumpFor, fencingOf, ownState } from './restore/source.ts';

export interface HibernateDeps {
  readonly cell: Cell;
  readonly nannies: Pick<NannyClient, 'snapshot'>;
  readonly store: Pick<TenantStore, 'putBackup'>;
  readonly ids: Pick<Ids, 'ulid'>;
}

export function hibernatePerformers(deps: HibernateDeps): Performers {
  return {
    async 'begin-hibernate'({ member }, { now }) {
      const backupId = deps.ids.ulid();
      const startedAt = now.toISOString();
      return {
        event: 'decided',
        message: `The cluster goes to sleep; the last snapshot will be that of ${member}, which leads.`,
        mutate: (tenant) => {
          const { operation, incarnation, status, hibernation } = tenant;
          if (operation?.kind !== 'hibernate' || hibernation?.operationId === operation.operationId) {
            return undefined;
          }
          const key = `${fullPrefix(tenant.cell, tenant.tenantId, incarnation.number)}${backupId}.snap`;
          const { operationId } = operation;
          return {
            ...tenant,
            hibernation: { operationId, incarnation: incarnation.number, member, backupId, key, startedAt },
            status: { phase: 'updating', conditions: status.conditions, since: startedAt },
          };
        },
      };
    },

    async 'save-last'({ member: name }, { tenant, now }) {
      const { hibernation } = tenant;
      const member = tenant.members[name];
      if (hibernation === undefined || member?.state !== 'voting') return notYet(`${name} is not there`);
      const { key, backupId, startedAt, incarnation } = hibernation;
      return attempt(async () => {
        const request = { bucket: deps.cell.backupBucket, key };
        const progress = await deps.nannies.snapshot({ tenant, ip: member.ip }, fenceOf(tenant), request);
        if (progress.state === 'running') {
          return notYet(
            `${name} is writing its snapshot to S3 (${Math.floor(progress.bytes / 2 ** 20)} MiB)`,
          );
        }
        if (progress.state === 'failed') {
          throw new TransientError(`The snapshot of ${name} failed: ${progress.problem}`);
        }
        const { bytes, sha256, revision } = progress;
        const at = now.toISOString();
        await deps.store.putBackup({
          backupId,
          tenantId: tenant.tenantId,
          incarnation,
          key,
          sha256,
          bytes,
          revision,
          etcdVersion: member.made?.version ?? tenant.spec.version,
          member: name,
          reason: 'hibernate',
          startedAt,
          contentAt: progress.contentAt ?? startedAt,
          endedAt: at,
        });
        const source = { kind: 'backup' as const, key, sha256, bytes, revision };
        return {
          message: `Everything is saved: revision ${revision}, ${bytes} bytes, ${key}.`,
          recordsWhatExists: true,
          mutate: (stored: TenantRecord) =>
            stored.hibernation?.key === key && stored.hibernation.source === undefined
              ? {
                  ...stored,
                  hibernation: {
                    ...stored.hibernation,
                    source: { ...source, bumpRevision: bumpFor(stored, revision), madeOf: ownState(stored) },
                  },
                }
              : undefined,
        };
      });
    },

    async hibernate({ operationId }, { now }) {
      return {
        event: 'decided',
        message: 'Nothing runs any more; the name and everything else of the tenant stay.',
        mutate: (tenant) => {
          const fencing = fencingOf(tenant);
          if (fencing?.by !== 'hibernate' || tenant.operation?.operationId !== operationId) return undefined;
          const {
            hibernation: _h,
            replaceRequests: _r,
            unowned: _u,
            sickSince: _s,
            ...rest
          } = withLeftDisks(tenant, now);
          const since = now.toISOString();
          return withoutBackoff({
            ...rest,
            members: {},
            highestRevision: Math.max(rest.highestRevision, fencing.source.revision),
            status: {
              phase: 'hibernated',
              since,
              source: fencing.source,
              conditions: [
                {
                  type: 'Ready',
                  status: 'False',
                  reason: 'Hibernated',
                  message: 'The tenant is asleep: nothing runs until it is woken up.',
                  since,
                },
              ],
            },
          });
        },
      };
    },
  };
}
