import { AwsError } from '../../aws/service.ts';
import type { Dynalite } from './dynalite.ts';
import type { ExpiringTables } from './tables.ts';

/** Deletes what has expired, as DynamoDB does within two days. Returns how many items it deleted. */
export async function deleteExpired(dynalite: Dynalite, tables: ExpiringTables, now: Date): Promise<number> {
  let deleted = 0;
  for (const [TableName, { attribute, key }] of tables) {
    const condition = {
      ExpressionAttributeNames: { '#expires': attribute },
      ExpressionAttributeValues: { ':now': { N: String(Math.floor(now.getTime() / 1000)) } },
    };
    let from: unknown;
    do {
      const page = await dynalite.call('Scan', {
        TableName,
        ...condition,
        FilterExpression: '#expires < :now',
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      for (const item of page.Items as Record<string, unknown>[]) {
        const Key = Object.fromEntries(key.map((name) => [name, item[name]]));
        // The item may have been given a longer life since the scan.
        const ConditionExpression = '#expires < :now';
        try {
          await dynalite.call('DeleteItem', { TableName, Key, ConditionExpression, ...condition });
          deleted += 1;
        } catch (error) {
          if (!(error instanceof AwsError) || error.code !== 'ConditionalCheckFailedException') throw error;
        }
      }
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }
  return deleted;
}
