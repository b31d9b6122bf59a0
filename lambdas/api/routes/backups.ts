import * as z from 'zod';
import { beginningOf } from '../../core/backup/beginning.ts';
import { holderOf, lastOf, mayBackUp, withBackups } from '../../core/backup/duty.ts';
import { slotAfter } from '../../core/backup/schedule.ts';
import { rpoOf } from '../../core/backup/stream.ts';
import { type Backup, backupSchema } from '../../core/model/backup.ts';
import { isoTimeSchema } from '../../core/model/names.ts';
import type { Operation } from '../../core/model/operation.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { newOperation } from '../operations.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantAnswerSchema, tenantParams } from '../schemas.ts';
import { announce, requireIdle, withOperation } from '../start-operation.ts';
import { changeTenant, documentOf, unknownTenant } from '../tenant-access.ts';

/** What is backed up of a tenant, and what can be had back. */
export const backupListSchema = z.strictObject({
  /** Newest first; damaged ones are never restored from. */
  backups: z.array(backupSchema),
  /**
   * Every second between these can be had back; of before, only the moments of the full backups listed. Null: nothing yet,
   * or the tenant is gone.
   */
  restorable: z.strictObject({ from: isoTimeSchema, until: isoTimeSchema, revision: z.int() }).nullable(),
  /** Seconds of writes that would have been lost with all members at `rpoAt`: the last look, about two minutes ago at most. */
  rpoSeconds: z.int().nullable(),
  rpoAt: isoTimeSchema.nullable(),
  /** Whose nanny ships the changes. */
  holder: z.string().nullable(),
  /** Why no full backup is taken just now, or no change gets into S3. */
  trouble: z.string().nullable(),
  nextFullAt: isoTimeSchema.nullable(),
});

export const listBackups = endpoint({
  method: 'get',
  path: '/v1/tenants/{tenantId}/backups',
  operationId: 'listBackups',
  summary: 'Full backups, newest first, and what can be restored',
  description: 'Also of a tenant that has been deleted, as long as its backups are kept.',
  params: tenantParams,
  query: noQuery,
  answers: { 200: { description: 'Everything that is backed up', schema: backupListSchema } },
  refusals: [404],
  async handle({ params: { tenantId } }, { deps }) {
    const [tenant, backups] = await Promise.all([deps.store.get(tenantId), deps.store.listBackups(tenantId)]);
    if (tenant === undefined && backups.length === 0) throw unknownTenant(tenantId);
    return { status: 200, body: told(tenant, backups, deps.clock.now()) };
  },
});

function told(
  tenant: TenantRecord | undefined,
  backups: readonly Backup[],
  now: Date,
): z.infer<typeof backupListSchema> {
  const holder = tenant && holderOf(tenant);
  const rpo = tenant && rpoOf(tenant, now);
  return {
    backups: [...backups],
    restorable: (tenant && restorable(tenant, backups, now)) ?? null,
    rpoSeconds: rpo?.seconds ?? null,
    rpoAt: rpo?.at ?? null,
    holder: holder?.member ?? null,
    trouble: tenant?.backups?.trouble?.reason ?? holder?.problem ?? null,
    nextFullAt: tenant && mayBackUp(tenant) ? slotAfter(tenant, now).toISOString() : null,
  };
}

function restorable(tenant: TenantRecord, backups: readonly Backup[], now: Date) {
  const last = lastOf(tenant);
  const holder = holderOf(tenant);
  const usable = backups.filter(
    ({ incarnation, damaged }) => incarnation === tenant.incarnation.number && damaged === undefined,
  );
  const own = usable
    .filter(({ madeOf }) => madeOf === undefined)
    .map(({ contentAt }) => contentAt)
    .sort();
  if (last === undefined || own[0] === undefined) {
    const beginning = beginningOf(usable, tenant.incarnation.number);
    return (
      beginning && { from: beginning.contentAt, until: beginning.contentAt, revision: beginning.revision }
    );
  }
  const windowFrom = new Date(now.getTime() - tenant.spec.backup.pointInTimeHours * 3_600_000).toISOString();
  const first = own.findLast((at) => at <= windowFrom) === undefined ? own[0] : windowFrom;
  const isShipped = holder !== undefined && holder.upToDateAt > last.contentAt;
  return {
    from: first,
    until: isShipped ? holder.upToDateAt : last.contentAt,
    revision: Math.max(last.revision, holder?.shippedRevision ?? 0),
  };
}

export const takeBackup = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/backups',
  operationId: 'takeBackup',
  summary: 'Take a full backup now',
  description:
    'Full backups come by themselves each `spec.backup.intervalMinutes`, and changes are shipped in between. Asking again ' +
    'while one is under way answers the same operation.',
  params: tenantParams,
  query: noQuery,
  answers: { 202: { description: 'Accepted', schema: tenantAnswerSchema } },
  refusals: [404, 409, 422],
  handle: ({ params: { tenantId } }, context) =>
    begin(context, tenantId, 'backup', 'Full backup', (newest, operation, now) => {
      const { operationId } = operation;
      const wanted = { reason: 'on-demand' as const, since: now.toISOString(), operationId };
      return withBackups(withOperation(newest, operation, now), { wanted });
    }),
});

export const proveBackup = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/drill',
  operationId: 'proveBackup',
  summary: 'Restore the newest backup beside the cluster and compare it, now',
  description:
    'Comes by itself each `spec.backup.drillHours`. A worker of its own restores the newest full backup and the changes ' +
    'behind it and compares the hash with a live member at the same revision; the cluster is not touched. The operation ' +
    'fails when something is damaged, missing or different, and condition `BackupProven` tells it. Asking again while one ' +
    'is under way answers the same operation.',
  params: tenantParams,
  query: noQuery,
  answers: { 202: { description: 'Accepted', schema: tenantAnswerSchema } },
  refusals: [404, 409, 422],
  handle: ({ params: { tenantId } }, context) =>
    begin(context, tenantId, 'drill', 'Drill', (newest, operation, now) => {
      if (lastOf(newest) === undefined) {
        throw new ApiError(
          'not-available',
          `There is no full backup of "${tenantId}" yet that could be proven. Take one first: nanny backup ${tenantId} (POST /v1/tenants/${tenantId}/backups).`,
        );
      }
      return withOperation(newest, operation, now);
    }),
});

/** Asked for again while one is under way: the same operation. */
async function begin(
  context: Context,
  tenantId: string,
  kind: 'backup' | 'drill',
  what: string,
  change: (tenant: TenantRecord, operation: Operation, now: Date) => TenantRecord,
) {
  const { deps, caller } = context;
  const operation = newOperation(context, tenantId, kind, `${what} asked for by ${caller.arn}`);
  const { tenant, changed } = await changeTenant(deps, tenantId, (newest) => {
    if (newest.operation?.kind === kind) return undefined;
    requireIdle(newest);
    requireFormed(newest, kind);
    return change(newest, operation, deps.clock.now());
  });
  const current = changed ? operation : { ...operation, ...tenant.operation };
  const stored = await deps.store.getOperation(tenantId, current.operationId);
  if (stored === undefined) await announce(context, tenant, current);
  return {
    status: 202 as const,
    body: { tenant: await documentOf(deps, tenant), operation: stored ?? current },
  };
}

function requireFormed(tenant: TenantRecord, kind: 'backup' | 'drill'): void {
  if (mayBackUp(tenant)) return;
  const no = kind === 'backup' ? 'no backup can be taken' : 'there is nothing to compare a backup with';
  throw new ApiError(
    'not-available',
    `Tenant "${tenant.tenantId}" is ${tenant.status.phase}: ${no}. Send this again when it is available.`,
  );
}
