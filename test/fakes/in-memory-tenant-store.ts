import { dueShard } from '../../lambdas/core/due-shard.ts';
import { ConflictError, InvalidRequestError } from '../../lambdas/core/errors.ts';
import { type Operation, operationSchema, type TimelineEvent } from '../../lambdas/core/model/operation.ts';
import { type TenantRecord, tenantRecordSchema } from '../../lambdas/core/model/tenant.ts';
import type { IdempotentRecord, Page, TenantStore } from '../../lambdas/core/ports.ts';
import { grantToken, type SickTenant } from '../../lambdas/core/storm.ts';

const idempotencyMs = 24 * 3600 * 1000;

/** A TenantStore without AWS, held to the same contract as the real one (test/contracts/tenant-store.test.ts). */
export class InMemoryTenantStore implements TenantStore {
  readonly #tenants = new Map<string, TenantRecord>();
  readonly #operations = new Map<string, Operation>();
  readonly #events = new Map<string, TimelineEvent>();
  readonly #idempotent = new Map<string, { record: IdempotentRecord; expiresAt: number }>();
  readonly #grants = new Map<string, Record<string, string>>();
  readonly #sick = new Map<string, SickTenant>();
  readonly #now: () => Date;

  constructor(options: { now?: () => Date } = {}) {
    this.#now = options.now ?? (() => new Date());
  }

  async get(tenantId: string): Promise<TenantRecord | undefined> {
    return structuredClone(this.#tenants.get(tenantId));
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
    this.#operations.set(
      `${operation.tenantId}/${operation.operationId}`,
      operationSchema.parse(structuredClone(operation)),
    );
  }

  async getOperation(tenantId: string, operationId: string): Promise<Operation | undefined> {
    return structuredClone(this.#operations.get(`${tenantId}/${operationId}`));
  }

  async listOperations(
    tenantId: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<Operation>> {
    const mine = [...this.#operations.values()].filter((operation) => operation.tenantId === tenantId);
    return page(newestFirst(mine, idOfOperation), idOfOperation, options);
  }

  async appendEvent(event: TimelineEvent): Promise<void> {
    this.#events.set(`${event.tenantId}/${event.eventId}`, structuredClone(event));
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

  #expect(tenantId: string, version: number): void {
    const stored = this.#tenants.get(tenantId);
    if (stored?.recordVersion !== version) {
      throw new ConflictError(`Tenant ${tenantId} is no longer at recordVersion ${version}. Read it again.`);
    }
  }

  #put(record: TenantRecord): void {
    const stored = tenantRecordSchema.parse(structuredClone(record));
    this.#tenants.set(record.tenantId, {
      ...stored,
      nextCheckAt: new Date(stored.nextCheckAt).toISOString(),
    });
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
