import type * as z from 'zod';
import { dueShard } from '../core/due-shard.ts';
import { ControlPlaneError } from '../core/errors.ts';
import type { Grave } from '../core/model/grave.ts';
import type { Operation, TimelineEvent } from '../core/model/operation.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { IdempotentRecord } from '../core/ports.ts';

/** Items of the table as docs/internals.md ("Names") lays them out. Times to live are epoch seconds. */

const hour = 3600;
const day = 24 * hour;
const eventLife = 30 * day;
const finishedOperationLife = 90 * day;
const idempotencyLife = 24 * hour;

export const namesPartition = 'TENANTS';
export const tenantKey = (tenantId: string) => ({ PK: `TENANT#${tenantId}`, SK: 'TENANT' });
export const operationKey = (tenantId: string, id: string) => ({ PK: `TENANT#${tenantId}`, SK: `OP#${id}` });
export const eventKey = (tenantId: string, id: string) => ({ PK: `TENANT#${tenantId}`, SK: `EVENT#${id}` });
export const idempotencyKey = (tenantId: string, key: string) => ({
  PK: `TENANT#${tenantId}`,
  SK: `IDEMP#${key}`,
});
export const backupKey = (tenantId: string, id: string) => ({ PK: `TENANT#${tenantId}`, SK: `BACKUP#${id}` });
export const graveKey = (tenantId: string) => ({ PK: `TENANT#${tenantId}`, SK: 'GRAVE' });
export const rolloutKey = { PK: 'FLEET', SK: 'PATCH' };
export const duePartition = (cell: string, shard: number | 'graves') => `DUE#${cell}#${shard}`;

export const tokensKey = (cell: string) => ({ PK: `CELL#${cell}`, SK: 'DESTRUCTIVE' });
export const placesKey = (cell: string) => ({ PK: `CELL#${cell}`, SK: 'PLACES' });
export const sickKey = (cell: string, tenantId: string) => ({ PK: `SICK#${cell}`, SK: `TENANT#${tenantId}` });

/** Well tenants keep an item for an hour that says so: this way sweep needs no right to delete. */
export function sickItem(cell: string, tenantId: string, since: Date | undefined, now: Date) {
  const life = since === undefined ? hour : 7 * day;
  return {
    ...sickKey(cell, tenantId),
    tenantId,
    ...(since !== undefined && { since: since.toISOString() }),
    expiresAt: Math.floor(now.getTime() / 1000) + life,
  };
}

export function tenantItem(record: TenantRecord) {
  return {
    ...record,
    // One way of writing a time only: the due index compares strings.
    nextCheckAt: new Date(record.nextCheckAt).toISOString(),
    ...tenantKey(record.tenantId),
    namesPK: namesPartition,
    duePK: duePartition(record.cell, dueShard(record.tenantId)),
  };
}

/** In a partition of the due index of its own: whoever counts the cell's tenants counts no deleted one. */
export const graveItem = (grave: Grave) => ({
  ...grave,
  ...graveKey(grave.tenantId),
  duePK: duePartition(grave.cell, 'graves'),
});

/** An operation lives for as long as it runs, and 90 days after its end: no record of a deleted tenant stays for ever. */
export function operationItem(operation: Operation) {
  return {
    ...operation,
    ...operationKey(operation.tenantId, operation.operationId),
    ...(operation.endedAt === undefined
      ? {}
      : { expiresAt: epochSeconds(operation.endedAt) + finishedOperationLife }),
  };
}

export function eventItem(event: TimelineEvent) {
  return {
    ...event,
    ...eventKey(event.tenantId, event.eventId),
    expiresAt: epochSeconds(event.at) + eventLife,
  };
}

export function idempotencyItem(tenantId: string, key: string, record: IdempotentRecord, now: Date) {
  return {
    ...record,
    ...idempotencyKey(tenantId, key),
    expiresAt: Math.floor(now.getTime() / 1000) + idempotencyLife,
  };
}

/** @throws ControlPlaneError `stored-record-invalid`: written by another version of this software, or by hand */
export function parseItem<T>(schema: z.ZodType<T>, item: Record<string, unknown>): T {
  const { PK, SK, namesPK, duePK, expiresAt, ...content } = item;
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new ControlPlaneError(
    'stored-record-invalid',
    `The stored item ${PK} ${SK} is not readable by this version (${problems.join('; ')}). ` +
      'Deploy the version that wrote it, or repair the item.',
    { cause: parsed.error },
  );
}

function epochSeconds(isoTime: string): number {
  return Math.floor(Date.parse(isoTime) / 1000);
}
