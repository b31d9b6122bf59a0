import { openDynalite } from '../../../local/services/dynamodb/dynalite.ts';
import { tableProvider } from '../../../local/services/dynamodb/tables.ts';
import { tenantTable } from './tenant-table.ts';

/** Writes items for ever and prints the key of each when it is acknowledged. Ends by being killed. */
const dynalite = await openDynalite({
  path: process.argv[2]!,
  accountId: '111122223333',
  region: 'us-east-1',
});
await tableProvider(dynalite, new Map()).provision({
  type: 'AWS::DynamoDB::Table',
  stack: 'Test',
  logicalId: 'Killed',
  properties: { ...tenantTable, TableName: 'killed' },
});
for (let n = 0; ; n++) {
  const Item = {
    PK: { S: `item-${n}` },
    SK: { S: 'TENANT' },
    namesPK: { S: 'ALL' },
    tenantId: { S: `${n}` },
  };
  await dynalite.call('PutItem', { TableName: 'killed', Item });
  process.stdout.write(`item-${n}\n`);
}
