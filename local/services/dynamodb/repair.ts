import { isDeepStrictEqual } from 'node:util';
import type { Dynalite, Index, TableDescription } from './dynalite.ts';

type Item = Record<string, unknown>;

/**
 * dynalite writes indexes first and the item last: killed in between, they disagree for ever. An index entry of
 * which the item knows nothing goes, and an item that an index has lost is written again. The item is right.
 */
export async function repairIndexes(dynalite: Dynalite, table: TableDescription): Promise<void> {
  const { TableName, GlobalSecondaryIndexes: indexes = [] } = table;
  const tableKeys = table.KeySchema.map(({ AttributeName }) => AttributeName);
  for (const index of indexes) {
    for await (const entry of scan(dynalite, { TableName, IndexName: index.IndexName })) {
      const Key = pick(entry, tableKeys);
      const { Item } = await dynalite.call('GetItem', { TableName, Key });
      const keys = keyNames(index);
      const known = Item !== undefined && isDeepStrictEqual(pick(Item as Item, keys), pick(entry, keys));
      if (!known) await dynalite.deleteIndexEntry(table, index.IndexName, entry);
    }
  }
  for await (const item of scan(dynalite, { TableName })) {
    const indexed = indexes.some((index) => keyNames(index).every((name) => item[name] !== undefined));
    if (indexed) await dynalite.call('PutItem', { TableName, Item: item });
  }
}

async function* scan(dynalite: Dynalite, input: Item): AsyncGenerator<Item> {
  let from: unknown;
  do {
    const start = from === undefined ? {} : { ExclusiveStartKey: from };
    const page = await dynalite.call('Scan', { ...input, ...start });
    yield* page.Items as Item[];
    from = page.LastEvaluatedKey;
  } while (from !== undefined);
}

const keyNames = (index: Index): string[] => index.KeySchema.map(({ AttributeName }) => AttributeName);

const pick = (item: Item, names: readonly string[]): Item =>
  Object.fromEntries(names.map((name) => [name, item[name]]));
