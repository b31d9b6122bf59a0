import * as z from 'zod';
import { dueShard } from '../../lambdas/core/due-shard.ts';
import { ConflictError, InvalidRequestError } from '../../lambdas/core/errors.ts';
import { type Backup, backupSchema } from '../../lambdas/core/model/backup.ts';
import { type Grave, graveSchema } from '../../lambdas/core/model/grave.ts';
import { type Operation, operationSchema, type TimelineEvent } from '../../lambdas/core/model/operation.ts';
import type { Places, TenantPlace } from '../../lambdas/core/model/place.ts';
import { type Rollout, rolloutSchema } from '../../lambdas/core/model/rollout.ts';
import { type TenantRecord, tenantRecordSchema } from '../../lambdas/core/model/tenant.ts';
import type { IdempotentRecord, Page, TenantStore } from '../../lambdas/core/ports.ts';
import { grantToken, type SickTenant } from '../../lambdas/core/storm.ts';

const idempotencyMs = 24 * 3600 * 1000;

/**
 * What is stored, for good: readers get the very same object, and who changes it fails at once. (A copy for each reader,
 * as the table gives it, was a sixth of what a simulated history cost.)
 */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

/** The schema of one field alone. */
const fields: Readonly<Record<string, z.ZodType | undefined>> = tenantRecordSchema.shape;

/**
 * The record as the schema reads it. A part that is the very object of what is stored (frozen, so unchanged) has been
 * through the schema already: saves are many, and most change a lease or one member.
 */
function parsed(record: TenantRecord, before: TenantRecord | undefined): TenantRecord {
  if (before === undefined) return tenantRecordSchema.parse(record);
  const stored: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(record)) {
    const old: unknown = before[key as keyof TenantRecord];
    if (typeof value === 'object' && value === old) stored[key] = value;
    else if (key === 'members') stored[key] = parsedMembers(record.members, before.members);
    else if (value !== undefined) stored[key] = (fields[key] ?? z.never()).parse(value);
  }
  for (const [key, schema] of Object.entries(fields)) {
    if (!(key in stored)) schema!.parse(undefined);
  }
  return stored as TenantRecord;
}

function parsedMembers(
  members: TenantRecord['members'],
  before: TenantRecord['members'],
): TenantRecord['members'] {
  const changed = Object.entries(members).filter(([name, member]) => before[name] !== member);
  const checked = tenantRecordSchema.shape.members.parse(Object.fromEntries(changed));
  return Object.fromEntries(Object.entries(members).map(([name, member]) => [name, checked[name] ?? member]));
}

/** A TenantStore without AWS, held to the same contract as the real one (test/contracts/tenant-store.test.ts). */
export class InMemoryTenantStore implements TenantStore {
  readonly #tenants = new Map<string, TenantRecord>();
  readonly #operations = new Map<string, Operation>();
  readonly #events = new Map<string, TimelineEvent>();
  readonly #idempotent = new Map<string, { record: IdempotentRecord; expiresAt: number }>();
  readonly #grants = new Map<string, Record<string, string>>();
  readonly #sick = new Map<string, SickTenant>();
  readonly #now: () => Date;
  readonly #backups = new Map<string, Backup>();
  readonly #graves = new Map<string, Grave>();
  readonly #places = new Map<string, Map<string, TenantPlace>>();
  #rollout: Rollout | undefined;

  constructor(options: { now?: () => Date } = {}) {
    this.#now = options.now ?? (() => new Date());
  }

  async get(tenantId: string): Promise<TenantRecord | undefined> {
    return this.#tenants.get(tenantId);
  }

  async create(record: TenantRecord): Promise<void> {
    if (this.#tenants.has(record.tenantId)) {
      throw new ConflictError(`Tenant ${record.tenantId} exists already. Read it again.`);
    }
    this.#put(record);
  }

  async save(next: TenantRecord, expectedVersion: number): Promise<void> {
    if (next.recordVersion !== expectedVersion + 1) {
      throw new Error(`recordVersion must be ${expectedVersion + 1}, is ${next.recordVersion}`);
    }
    this.#expect(next.tenantId, expectedVersion);
    this.#put(next);
  }

  async remove(tenantId: string, expectedVersion: number): Promise<void> {
    this.#expect(tenantId, expectedVersion);
    this.#tenants.delete(tenantId);
  }

  async list(options: { limit: number; cursor?: string }): Promise<Page<string>> {
    return page([...this.#tenants.keys()].sort(), (id) => id, options);
  }

  async count(): Promise<number> {
    return this.#tenants.size;
  }

  async due(options: { cell: string; shard: number; now: Date; limit: number }): Promise<string[]> {
    return [...this.#tenants.values()]
      .filter((tenant) => tenant.cell === options.cell && dueShard(tenant.tenantId) === options.shard)
      .filter((tenant) => Date.parse(tenant.nextCheckAt) <= options.now.getTime())
      .sort((a, b) => Date.parse(a.nextCheckAt) - Date.parse(b.nextCheckAt))
      .slice(0, options.limit)
      .map((tenant) => tenant.tenantId);
  }

  async putOperation(operation: Operation): Promise<void> {
    const key = `${operation.tenantId}/${operation.operationId}`;
    if (operation.endedAt === undefined && this.#operations.get(key)?.endedAt !== undefined) return;
    this.#operations.set(key, frozen(operationSchema.parse(operation)));
  }

  async getOperation(tenantId: string, operationId: string): Promise<Operation | undefined> {
    return this.#operations.get(`${tenantId}/${operationId}`);
  }

  async listOperations(
    tenantId: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<Operation>> {
    const mine = [...this.#operations.values()].filter((operation) => operation.tenantId === tenantId);
    return page(newestFirst(mine, idOfOperation), idOfOperation, options);
  }

  async appendEvent(event: TimelineEvent): Promise<void> {
    this.#events.set(`${event.tenantId}/${event.eventId}`, Object.freeze({ ...event }));
  }

  async listEvents(
    tenantId: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<TimelineEvent>> {
    const mine = [...this.#events.values()].filter((event) => event.tenantId === tenantId);
    return page(newestFirst(mine, idOfEvent), idOfEvent, options);
  }

  async getIdempotent(tenantId: string, key: string): Promise<IdempotentRecord | undefined> {
    const found = this.#idempotent.get(`${tenantId}/${key}`);
    return found !== undefined && found.expiresAt > this.#now().getTime()
      ? structuredClone(found.record)
      : undefined;
  }

  async putIdempotent(tenantId: string, key: string, record: IdempotentRecord): Promise<void> {
    const expiresAt = this.#now().getTime() + idempotencyMs;
    this.#idempotent.set(`${tenantId}/${key}`, { record: structuredClone(record), expiresAt });
  }

  async takeDestructiveToken(cell: string, key: string, now: Date): Promise<boolean> {
    const next = grantToken(this.#grants.get(cell) ?? {}, key, now);
    if (next !== undefined) this.#grants.set(cell, next);
    return next !== undefined;
  }

  async noteSick(cell: string, tenantId: string, since: Date | undefined): Promise<void> {
    if (since === undefined) this.#sick.delete(`${cell}/${tenantId}`);
    else this.#sick.set(`${cell}/${tenantId}`, { tenantId, since: since.toISOString() });
  }

  async sickTenants(cell: string): Promise<SickTenant[]> {
    return [...this.#sick].flatMap(([key, sick]) => (key.startsWith(`${cell}/`) ? [{ ...sick }] : []));
  }

  async countInCell(cell: string): Promise<number> {
    return [...this.#tenants.values()].filter((tenant) => tenant.cell === cell).length;
  }

  async idsInCell(cell: string): Promise<string[]> {
    return [...this.#tenants.values()]
      .filter((tenant) => tenant.cell === cell)
      .map(({ tenantId }) => tenantId);
  }

  async places(cell: string): Promise<Places> {
    return Object.fromEntries(this.#places.get(cell) ?? []);
  }

  async takePlace(cell: string, tenantId: string, place: TenantPlace, atMost: number): Promise<boolean> {
    const places = this.#places.get(cell) ?? new Map<string, TenantPlace>();
    if (!places.has(tenantId) && places.size >= atMost) return false;
    this.#places.set(cell, places.set(tenantId, place));
    return true;
  }

  async leavePlace(cell: string, tenantId: string, at?: string): Promise<void> {
    const places = this.#places.get(cell);
    if (at === undefined || places?.get(tenantId)?.at === at) places?.delete(tenantId);
  }

  async putBackup(backup: Backup): Promise<void> {
    const { tenantId, backupId } = backup;
    this.#backups.set(`${tenantId}/${backupId}`, backupSchema.parse(structuredClone(backup)));
  }

  async listBackups(tenantId: string): Promise<Backup[]> {
    const own = [...this.#backups.values()].filter((backup) => backup.tenantId === tenantId);
    return structuredClone(newestFirst(own, (backup) => backup.backupId));
  }

  async getBackup(tenantId: string, backupId: string): Promise<Backup | undefined> {
    return structuredClone(this.#backups.get(`${tenantId}/${backupId}`));
  }

  async removeBackup(tenantId: string, backupId: string): Promise<void> {
    this.#backups.delete(`${tenantId}/${backupId}`);
  }

  async bury(grave: Grave): Promise<void> {
    this.#graves.set(grave.tenantId, graveSchema.parse(structuredClone(grave)));
  }

  async getGrave(tenantId: string): Promise<Grave | undefined> {
    return structuredClone(this.#graves.get(tenantId));
  }

  async dueGraves({ cell, now, limit }: { cell: string; now: Date; limit: number }): Promise<string[]> {
    return [...this.#graves.values()]
      .filter((grave) => grave.cell === cell && Date.parse(grave.nextCheckAt) <= now.getTime())
      .slice(0, limit)
      .map(({ tenantId }) => tenantId);
  }

  async removeGrave(tenantId: string): Promise<void> {
    this.#graves.delete(tenantId);
  }

  async getRollout(): Promise<Rollout | undefined> {
    return structuredClone(this.#rollout);
  }

  async saveRollout(next: Rollout, expectedVersion: number): Promise<void> {
    if ((this.#rollout?.recordVersion ?? 0) !== expectedVersion) {
      throw new ConflictError(
        `The fleet patch is no longer at recordVersion ${expectedVersion}. Read it again.`,
      );
    }
    this.#rollout = rolloutSchema.parse(structuredClone(next));
  }

  #expect(tenantId: string, version: number): void {
    const stored = this.#tenants.get(tenantId);
    if (stored?.recordVersion !== version) {
      throw new ConflictError(`Tenant ${tenantId} is no longer at recordVersion ${version}. Read it again.`);
    }
  }

  #put(record: TenantRecord): void {
    const stored = parsed(record, this.#tenants.get(record.tenantId));
    stored.nextCheckAt = new Date(stored.nextCheckAt).toISOString();
    this.#tenants.set(record.tenantId, frozen(stored));
  }
}

const idOfOperation = (operation: Operation): string => operation.operationId;
const idOfEvent = (event: TimelineEvent): string => event.eventId;

function newestFirst<T>(items: T[], idOf: (item: T) => string): T[] {
  return items.sort((a, b) => (idOf(a) < idOf(b) ? 1 : -1));
}

function page<T>(
  sorted: T[],
  idOf: (item: T) => string,
  options: { limit: number; cursor?: string },
): Page<T> {
  let from = 0;
  if (options.cursor !== undefined) {
    const after = Buffer.from(options.cursor, 'base64url').toString();
    if (!after.startsWith('after:')) {
      throw new InvalidRequestError('The cursor is not one of ours. Start again without it.', [
        { field: 'cursor', message: 'is not valid' },
      ]);
    }
    from = sorted.findIndex((item) => idOf(item) === after.slice('after:'.length)) + 1;
  }
  const items = sorted.slice(from, from + options.limit);
  const last = items.at(-1);
  return from + items.length < sorted.length && last !== undefined
    ? {
        items: structuredClone(items),
        cursor: Buffer.from(`after:${idOf(last)}`).toString('base64url'),
      }
    : { items: structuredClone(items) };
}
