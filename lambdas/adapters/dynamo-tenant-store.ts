import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
} from '@aws-sdk/lib-dynamodb';
import * as z from 'zod';
import { dueShards } from '../core/due-shard.ts';
import { ConflictError } from '../core/errors.ts';
import { type Backup, backupSchema } from '../core/model/backup.ts';
import { type Grave, graveSchema } from '../core/model/grave.ts';
import type { Operation, TimelineEvent } from '../core/model/operation.ts';
import { operationSchema, timelineEventSchema } from '../core/model/operation.ts';
import type { Places, TenantPlace } from '../core/model/place.ts';
import { type Rollout, rolloutSchema } from '../core/model/rollout.ts';
import { type TenantRecord, tenantRecordSchema } from '../core/model/tenant.ts';
import type { Clock, IdempotentRecord, Page, TenantStore } from '../core/ports.ts';
import { grantToken, type SickTenant } from '../core/storm.ts';
import { callAws, clientDefaults, errorName } from './aws-errors.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import {
  backupKey,
  duePartition,
  eventItem,
  eventKey,
  graveItem,
  graveKey,
  idempotencyItem,
  idempotencyKey,
  namesPartition,
  operationItem,
  operationKey,
  parseItem,
  rolloutKey,
  sickItem,
  sickKey,
  tenantItem,
  tenantKey,
  tokensKey,
} from './dynamo-items.ts';
import { leavePlace, type PlacesTable, readPlaces, takePlace } from './dynamo-places.ts';

const idempotentSchema = z.strictObject({ requestHash: z.string(), status: z.int(), body: z.string() });

const sickSchema = z.strictObject({ tenantId: z.string(), since: z.string() });
/** Functions of one cell take tokens at the same instant. */
const tokenAttempts = 8;

/**
 * The tenant table.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | get, getOperation, getIdempotent, getRollout, getGrave, getBackup | dynamodb:GetItem | table |
 * | create, save, putOperation, appendEvent, putIdempotent, saveRollout, putBackup, bury | dynamodb:PutItem | table |
 * | remove, removeBackup, removeGrave | dynamodb:DeleteItem | table |
 * | listOperations, listEvents, listBackups | dynamodb:Query | table |
 * | list, count | dynamodb:Query | table/index/names |
 * | due, dueGraves, countInCell, idsInCell | dynamodb:Query | table/index/due |
 * | takeDestructiveToken | dynamodb:GetItem, dynamodb:PutItem | table |
 * | noteSick | dynamodb:PutItem | table |
 * | sickTenants | dynamodb:Query | table |
 * | places | dynamodb:GetItem | table |
 * | takePlace | dynamodb:UpdateItem, dynamodb:PutItem | table, keys `CELL#*` |
 * | leavePlace | dynamodb:UpdateItem | table, keys `CELL#*` |
 */
export class DynamoTenantStore implements TenantStore {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  constructor(options: { tableName: string; clock: Clock; client?: DynamoDBClient }) {
    this.#client = DynamoDBDocumentClient.from(options.client ?? new DynamoDBClient(clientDefaults), {
      marshallOptions: { removeUndefinedValues: true },
    });
    this.#table = options.tableName;
    this.#clock = options.clock;
  }

  async get(tenantId: string): Promise<TenantRecord | undefined> {
    const item = await this.#getItem(tenantKey(tenantId));
    return item && parseItem(tenantRecordSchema, item);
  }

  async create(record: TenantRecord): Promise<void> {
    await this.#conditionally(`Tenant ${record.tenantId} exists already. Read it again.`, () =>
      this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: tenantItem(tenantRecordSchema.parse(record)),
          ConditionExpression: 'attribute_not_exists(PK)',
        }),
      ),
    );
  }

  async save(next: TenantRecord, expectedVersion: number): Promise<void> {
    if (next.recordVersion !== expectedVersion + 1) {
      throw new Error(`recordVersion must be ${expectedVersion + 1}, is ${next.recordVersion}`);
    }
    await this.#conditionally(staleMessage(next.tenantId, expectedVersion), () =>
      this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: tenantItem(tenantRecordSchema.parse(next)),
          ConditionExpression: 'recordVersion = :expected',
          ExpressionAttributeValues: { ':expected': expectedVersion },
        }),
      ),
    );
  }

  async remove(tenantId: string, expectedVersion: number): Promise<void> {
    await this.#conditionally(staleMessage(tenantId, expectedVersion), () =>
      this.#client.send(
        new DeleteCommand({
          TableName: this.#table,
          Key: tenantKey(tenantId),
          ConditionExpression: 'recordVersion = :expected',
          ExpressionAttributeValues: { ':expected': expectedVersion },
        }),
      ),
    );
  }

  async list(options: { limit: number; cursor?: string }): Promise<Page<string>> {
    const start = (after: string) => ({ namesPK: namesPartition, tenantId: after, ...tenantKey(after) });
    const found = await this.#page('names', options, start, {
      IndexName: 'names',
      KeyConditionExpression: 'namesPK = :names',
      ExpressionAttributeValues: { ':names': namesPartition },
    });
    return { ...found, items: found.items.map((item) => z.string().parse(item.tenantId)) };
  }

  async count(): Promise<number> {
    let total = 0;
    let from: Record<string, unknown> | undefined;
    do {
      const answer = await this.#query({
        IndexName: 'names',
        Select: 'COUNT',
        KeyConditionExpression: 'namesPK = :names',
        ExpressionAttributeValues: { ':names': namesPartition },
        ExclusiveStartKey: from,
      });
      total += answer.Count ?? 0;
      from = answer.LastEvaluatedKey;
    } while (from !== undefined);
    return total;
  }

  async due(options: { cell: string; shard: number; now: Date; limit: number }): Promise<string[]> {
    return this.#due(duePartition(options.cell, options.shard), options);
  }

  async dueGraves(options: { cell: string; now: Date; limit: number }): Promise<string[]> {
    return this.#due(duePartition(options.cell, 'graves'), options);
  }

  async #due(partition: string, { now, limit }: { now: Date; limit: number }): Promise<string[]> {
    const answer = await this.#query({
      IndexName: 'due',
      KeyConditionExpression: 'duePK = :due AND nextCheckAt <= :now',
      ExpressionAttributeValues: { ':due': partition, ':now': now.toISOString() },
      Limit: limit,
    });
    return (answer.Items ?? []).map(tenantIdOf);
  }

  async putOperation(operation: Operation): Promise<void> {
    const item = operationItem(operationSchema.parse(operation));
    if (operation.endedAt !== undefined) return this.#putItem(item);
    const open = { TableName: this.#table, Item: item, ConditionExpression: 'attribute_not_exists(endedAt)' };
    try {
      await this.#conditionally('The operation has ended.', () => this.#client.send(new PutCommand(open)));
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }

  async getOperation(tenantId: string, operationId: string): Promise<Operation | undefined> {
    const item = await this.#getItem(operationKey(tenantId, operationId));
    return item && parseItem(operationSchema, item);
  }

  async listOperations(
    tenantId: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<Operation>> {
    const found = await this.#newestFirst('OP', tenantId, options, (id) => operationKey(tenantId, id));
    return { ...found, items: found.items.map((item) => parseItem(operationSchema, item)) };
  }

  async appendEvent(event: TimelineEvent): Promise<void> {
    await this.#putItem(eventItem(timelineEventSchema.parse(event)));
  }

  async listEvents(
    tenantId: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<TimelineEvent>> {
    const found = await this.#newestFirst('EVENT', tenantId, options, (id) => eventKey(tenantId, id));
    return { ...found, items: found.items.map((item) => parseItem(timelineEventSchema, item)) };
  }

  async putBackup(backup: Backup): Promise<void> {
    await this.#putItem({
      ...backupSchema.parse(backup),
      ...backupKey(backup.tenantId, backup.backupId),
    });
  }

  async listBackups(tenantId: string): Promise<Backup[]> {
    const found: Backup[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const answer = await this.#query({
        KeyConditionExpression: 'PK = :tenant AND begins_with(SK, :kind)',
        ExpressionAttributeValues: { ':tenant': tenantKey(tenantId).PK, ':kind': 'BACKUP#' },
        ScanIndexForward: false,
        ConsistentRead: true,
        ExclusiveStartKey: from,
      });
      for (const item of answer.Items ?? []) found.push(parseItem(backupSchema, item));
      from = answer.LastEvaluatedKey;
    } while (from !== undefined);
    return found;
  }

  async getBackup(tenantId: string, backupId: string): Promise<Backup | undefined> {
    const item = await this.#getItem(backupKey(tenantId, backupId));
    return item && parseItem(backupSchema, item);
  }

  async removeBackup(tenantId: string, backupId: string): Promise<void> {
    const command = new DeleteCommand({ TableName: this.#table, Key: backupKey(tenantId, backupId) });
    await callAws('dynamodb:DeleteItem', () => this.#client.send(command));
  }

  async bury(grave: Grave): Promise<void> {
    await this.#putItem(graveItem(graveSchema.parse(grave)));
  }

  async getGrave(tenantId: string): Promise<Grave | undefined> {
    const item = await this.#getItem(graveKey(tenantId));
    return item && parseItem(graveSchema, item);
  }

  async removeGrave(tenantId: string): Promise<void> {
    const command = new DeleteCommand({ TableName: this.#table, Key: graveKey(tenantId) });
    await callAws('dynamodb:DeleteItem', () => this.#client.send(command));
  }

  async getIdempotent(tenantId: string, key: string): Promise<IdempotentRecord | undefined> {
    const item = await this.#getItem(idempotencyKey(tenantId, key));
    // DynamoDB may take two days to delete what has expired.
    const alive = item && Number(item.expiresAt) * 1000 > this.#clock.now().getTime();
    return alive ? parseItem(idempotentSchema, item) : undefined;
  }

  async putIdempotent(tenantId: string, key: string, record: IdempotentRecord): Promise<void> {
    await this.#putItem(idempotencyItem(tenantId, key, record, this.#clock.now()));
  }

  async takeDestructiveToken(cell: string, key: string, now: Date): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const item = await this.#getItem(tokensKey(cell));
      const version = z.int().parse(item?.version ?? 0);
      const grants = grantToken(z.record(z.string(), z.string()).parse(item?.grants ?? {}), key, now);
      if (grants === undefined) return false;
      try {
        await this.#conditionally(`The tokens of cell ${cell} were just taken by another. Try again.`, () =>
          this.#client.send(
            new PutCommand({
              TableName: this.#table,
              Item: { ...tokensKey(cell), grants, version: version + 1 },
              ConditionExpression: 'attribute_not_exists(PK) OR version = :version',
              ExpressionAttributeValues: { ':version': version },
            }),
          ),
        );
        return true;
      } catch (error) {
        if (!(error instanceof ConflictError) || attempt >= tokenAttempts) throw error;
      }
    }
  }

  async noteSick(cell: string, tenantId: string, since: Date | undefined): Promise<void> {
    await this.#putItem(sickItem(cell, tenantId, since, this.#clock.now()));
  }

  async sickTenants(cell: string): Promise<SickTenant[]> {
    const found: SickTenant[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const answer = await this.#query({
        KeyConditionExpression: 'PK = :cell',
        ExpressionAttributeValues: { ':cell': sickKey(cell, '').PK },
        ExclusiveStartKey: from,
      });
      for (const { tenantId, since } of answer.Items ?? []) {
        if (since !== undefined) found.push(sickSchema.parse({ tenantId, since }));
      }
      from = answer.LastEvaluatedKey;
    } while (from !== undefined);
    return found;
  }

  async getRollout(): Promise<Rollout | undefined> {
    const item = await this.#getItem(rolloutKey);
    return item && parseItem(rolloutSchema, item);
  }

  async saveRollout(next: Rollout, expectedVersion: number): Promise<void> {
    const stale = `The fleet patch is no longer at recordVersion ${expectedVersion}. Read it again.`;
    await this.#conditionally(stale, () =>
      this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...rolloutSchema.parse(next), ...rolloutKey },
          ...(expectedVersion === 0
            ? { ConditionExpression: 'attribute_not_exists(PK)' }
            : {
                ConditionExpression: 'recordVersion = :expected',
                ExpressionAttributeValues: { ':expected': expectedVersion },
              }),
        }),
      ),
    );
  }

  async countInCell(cell: string): Promise<number> {
    const shards = Array.from({ length: dueShards }, (_, shard) => duePartition(cell, shard));
    const counts = await Promise.all(shards.map((shard) => this.#inDue(shard, { Select: 'COUNT' })));
    return counts.flat().reduce((sum, { Count = 0 }) => sum + Count, 0);
  }

  async idsInCell(cell: string): Promise<string[]> {
    const shards = Array.from({ length: dueShards }, (_, shard) => duePartition(cell, shard));
    const answers = await Promise.all(shards.map((shard) => this.#inDue(shard, {})));
    return answers.flat().flatMap(({ Items = [] }) => Items.map(tenantIdOf));
  }

  async #inDue(partition: string, input: Pick<QueryCommandInput, 'Select'>): Promise<QueryCommandOutput[]> {
    const answers: QueryCommandOutput[] = [];
    do {
      const answer = await this.#query({
        ...input,
        IndexName: 'due',
        KeyConditionExpression: 'duePK = :due',
        ExpressionAttributeValues: { ':due': partition },
        ExclusiveStartKey: answers.at(-1)?.LastEvaluatedKey,
      });
      answers.push(answer);
    } while (answers.at(-1)?.LastEvaluatedKey !== undefined);
    return answers;
  }

  places(cell: string): Promise<Places> {
    return readPlaces(this.#places(), cell);
  }

  takePlace(cell: string, tenantId: string, place: TenantPlace, atMost: number): Promise<boolean> {
    return takePlace(this.#places(), cell, tenantId, place, atMost);
  }

  leavePlace(cell: string, tenantId: string, at?: string): Promise<void> {
    return leavePlace(this.#places(), cell, tenantId, at);
  }

  #places(): PlacesTable {
    return { client: this.#client, table: this.#table };
  }

  async #getItem(key: Record<string, string>): Promise<Record<string, unknown> | undefined> {
    const command = new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true });
    return (await callAws('dynamodb:GetItem', () => this.#client.send(command))).Item;
  }

  async #putItem(item: Record<string, unknown>): Promise<void> {
    const command = new PutCommand({ TableName: this.#table, Item: item });
    await callAws('dynamodb:PutItem', () => this.#client.send(command));
  }

  async #conditionally(conflict: string, write: () => Promise<unknown>): Promise<void> {
    await callAws('dynamodb:PutItem', async () => {
      try {
        await write();
      } catch (error) {
        if (errorName(error) !== 'ConditionalCheckFailedException') throw error;
        throw new ConflictError(conflict, { cause: error });
      }
    });
  }

  #query(input: Omit<QueryCommandInput, 'TableName'>) {
    const command = new QueryCommand({ TableName: this.#table, ...input });
    return callAws('dynamodb:Query', () => this.#client.send(command));
  }

  #newestFirst(
    kind: 'OP' | 'EVENT',
    tenantId: string,
    options: { limit: number; cursor?: string },
    keyOf: (id: string) => Record<string, string>,
  ) {
    return this.#page(kind, options, keyOf, {
      KeyConditionExpression: 'PK = :tenant AND begins_with(SK, :kind)',
      ExpressionAttributeValues: { ':tenant': tenantKey(tenantId).PK, ':kind': `${kind}#` },
      ScanIndexForward: false,
    });
  }

  /** Asks for one item more than wanted: only so is it known whether this is the last page. */
  async #page(
    list: string,
    options: { limit: number; cursor?: string },
    startAfter: (id: string) => Record<string, string>,
    input: Omit<QueryCommandInput, 'TableName'>,
  ): Promise<Page<Record<string, unknown>>> {
    const answer = await this.#query({
      ...input,
      Limit: options.limit + 1,
      ExclusiveStartKey:
        options.cursor === undefined ? undefined : startAfter(decodeCursor(list, options.cursor)),
    });
    const found = answer.Items ?? [];
    const items = found.slice(0, options.limit);
    const last = items.at(-1);
    const more = found.length > options.limit || answer.LastEvaluatedKey !== undefined;
    return more && last !== undefined ? { items, cursor: encodeCursor(list, idOf(list, last)) } : { items };
  }
}

function idOf(list: string, item: Record<string, unknown>): string {
  return list === 'names' ? String(item.tenantId) : String(item.SK).slice(list.length + 1);
}

const tenantIdOf = ({ PK }: Record<string, unknown>): string => z.string().parse(PK).slice('TENANT#'.length);

function staleMessage(tenantId: string, version: number): string {
  return `Tenant ${tenantId} is no longer at recordVersion ${version}. Read it again.`;
}
