import { type DynamoDBDocumentClient, GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { type Places, placesSchema, type TenantPlace } from '../core/model/place.ts';
import { callAws, errorName } from './aws-errors.ts';
import { placesKey } from './dynamo-items.ts';

/**
 * Who lives in a cell: one item a cell, with a map by tenant. The count is the size of that map, so that no number can
 * drift from the names behind it, and DynamoDB itself compares it with the limit in the write that adds a name.
 */
export interface PlacesTable {
  readonly client: DynamoDBDocumentClient;
  readonly table: string;
}

export async function readPlaces({ client, table }: PlacesTable, cell: string): Promise<Places> {
  const command = new GetCommand({ TableName: table, Key: placesKey(cell), ConsistentRead: true });
  const { Item } = await callAws('dynamodb:GetItem', () => client.send(command));
  return placesSchema.parse(Item?.tenants ?? {});
}

/** @returns false when the cell has `atMost` tenants without this one */
export async function takePlace(
  places: PlacesTable,
  cell: string,
  tenantId: string,
  place: TenantPlace,
  atMost: number,
): Promise<boolean> {
  const take = () =>
    update(places, cell, {
      UpdateExpression: 'SET tenants.#id = :place',
      ConditionExpression: 'attribute_exists(tenants.#id) OR size(tenants) < :atMost',
      ExpressionAttributeNames: { '#id': tenantId },
      ExpressionAttributeValues: { ':place': place, ':atMost': atMost },
    });
  if (await take()) return true;
  // Either there is no room, or nobody has ever lived here and there is no map to be measured.
  return (await begin(places, cell)) ? take() : false;
}

/** Harmless when it has none, or, with `at`, when it has taken it anew since. */
export async function leavePlace(
  places: PlacesTable,
  cell: string,
  tenantId: string,
  at?: string,
): Promise<void> {
  await update(places, cell, {
    UpdateExpression: 'REMOVE tenants.#id',
    ConditionExpression: at === undefined ? 'attribute_exists(tenants.#id)' : 'tenants.#id.#at = :at',
    ExpressionAttributeNames: { '#id': tenantId, ...(at !== undefined && { '#at': 'at' }) },
    ...(at !== undefined && { ExpressionAttributeValues: { ':at': at } }),
  });
}

/** @returns whether this call made the item */
const begin = ({ client, table }: PlacesTable, cell: string): Promise<boolean> =>
  conditionally('dynamodb:PutItem', () =>
    client.send(
      new PutCommand({
        TableName: table,
        Item: { ...placesKey(cell), tenants: {} },
        ConditionExpression: 'attribute_not_exists(PK)',
      }),
    ),
  );

type Change = Omit<ConstructorParameters<typeof UpdateCommand>[0], 'TableName' | 'Key'>;

const update = ({ client, table }: PlacesTable, cell: string, change: Change): Promise<boolean> =>
  conditionally('dynamodb:UpdateItem', () =>
    client.send(new UpdateCommand({ TableName: table, Key: placesKey(cell), ...change })),
  );

const conditionally = (action: string, write: () => Promise<unknown>): Promise<boolean> =>
  callAws(action, async () => {
    try {
      await write();
      return true;
    } catch (error) {
      if (errorName(error) !== 'ConditionalCheckFailedException') throw error;
      return false;
    }
  });
