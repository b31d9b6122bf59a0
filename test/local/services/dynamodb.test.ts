import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ResourceNotFoundException,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDynalite } from '../../../local/services/dynamodb/dynalite.ts';
import { deleteExpired } from '../../../local/services/dynamodb/expiry.ts';
import { createModule } from '../../../local/services/dynamodb/index.ts';
import { tableProvider } from '../../../local/services/dynamodb/tables.ts';
import { accountId, region, startCloud, type TestCloud } from './cloud.ts';
import { tenantTable } from './tenant-table.ts';

const item = (SK: string, more = {}) => ({ PK: { S: 'TENANT#acme' }, SK: { S: SK }, ...more });

describe('DynamoDB', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;
  let TableName: string;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
    client = new DynamoDBClient(cloud.client);
    TableName = (await cloud.provision('AWS::DynamoDB::GlobalTable', 'Tenants', tenantTable)).ref;
  });
  afterAll(() => cloud.stop());

  it('stands up the same table again with its items', async () => {
    await client.send(new PutItemCommand({ TableName, Item: item('TENANT') }));
    await cloud.stop({ keepState: true });
    cloud = await startCloud(createModule, { stateDir: cloud.stateDir });
    client = new DynamoDBClient(cloud.client);
    const again = await cloud.provision('AWS::DynamoDB::GlobalTable', 'Tenants', tenantTable);
    expect(again).toMatchObject({ ref: TableName, attributes: { Arn: expect.stringContaining(TableName) } });
    const { Item } = await client.send(new GetItemCommand({ TableName, Key: item('TENANT') }));
    expect(Item).toBeDefined();
  });

  it('refuses a template whose indexes differ from the stored table', async () => {
    const [due] = tenantTable.GlobalSecondaryIndexes;
    const changed = { ...tenantTable, GlobalSecondaryIndexes: [due] };
    await expect(cloud.provision('AWS::DynamoDB::GlobalTable', 'Tenants', changed)).rejects.toThrow(
      '--state',
    );
  });

  it('asks IAM for the table, or for the index that is queried', async () => {
    cloud.asked.length = 0;
    const query = {
      TableName,
      IndexName: 'due',
      KeyConditionExpression: 'duePK = :d',
      ExpressionAttributeValues: { ':d': { S: 'DUE#1#0' } },
    };
    await client.send(new QueryCommand(query));
    await client.send(new GetItemCommand({ TableName, Key: item('TENANT') }));
    const table = `arn:aws:dynamodb:${region}:${accountId}:table/${TableName}`;
    expect(cloud.asked).toEqual([
      { action: 'dynamodb:Query', resource: `${table}/index/due` },
      { action: 'dynamodb:GetItem', resource: table, context: { 'dynamodb:LeadingKeys': ['TENANT#acme'] } },
    ]);
  });

  it('refuses parameters it would have to ignore', async () => {
    const put = new PutItemCommand({
      TableName,
      Item: item('TENANT'),
      ConditionExpression: 'attribute_not_exists(PK)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
    await expect(client.send(put)).rejects.toThrow('ReturnValuesOnConditionCheckFailure');
  });

  it('answers for a missing table as AWS does', async () => {
    const get = new GetItemCommand({ TableName: 'none', Key: item('TENANT') });
    await expect(client.send(get)).rejects.toBeInstanceOf(ResourceNotFoundException);
  });

  it('says who holds the data when two clouds use one state folder', async () => {
    await expect(startCloud(createModule, { stateDir: cloud.stateDir })).rejects.toThrow(
      'another local cloud',
    );
  });
});

describe('time to live', () => {
  it('deletes what has expired, and nothing else', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-ttl-'));
    const dynalite = await openDynalite({ path: folder, accountId, region });
    try {
      const expiring = new Map();
      const resource = { stack: 'Test', logicalId: 'Tenants', properties: tenantTable };
      const type = 'AWS::DynamoDB::GlobalTable';
      const { ref: TableName } = await tableProvider(dynalite, expiring).provision({ type, ...resource });
      const now = new Date('2026-11-22T10:00:00Z');
      const at = (seconds: number) => ({ expiresAt: { N: String(now.getTime() / 1000 + seconds) } });
      for (const one of [item('A', at(-1)), item('B', at(1)), item('C')]) {
        await dynalite.call('PutItem', { TableName, Item: one });
      }
      expect(await deleteExpired(dynalite, expiring, now)).toBe(1);
      const { Items } = await dynalite.call('Scan', { TableName });
      expect((Items as { SK: { S: string } }[]).map(({ SK }) => SK.S).sort()).toEqual(['B', 'C']);
    } finally {
      await dynalite.close();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a process killed with SIGKILL', () => {
  it('has kept every write it acknowledged', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'etcd-nanny-kill-'));
    const acknowledged = await writeUntilKilled(folder, 200);
    const dynalite = await openDynalite({ path: folder, accountId, region });
    try {
      for (const key of acknowledged) {
        const Key = { PK: { S: key }, SK: { S: 'TENANT' } };
        const { Item } = await dynalite.call('GetItem', { TableName: 'killed', Key });
        expect(Item, key).toBeDefined();
      }
    } finally {
      await dynalite.close();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('indexes that a killed process left behind', () => {
  it('are made to agree with the items again, at the next start', async () => {
    let cloud = await startCloud(createModule);
    const put = (client: DynamoDBClient, TableName: string, id: string) =>
      client.send(
        new PutItemCommand({
          TableName,
          Item: { ...item(`T#${id}`), namesPK: { S: 'TENANTS' }, tenantId: { S: id } },
        }),
      );
    const type = 'AWS::DynamoDB::GlobalTable';
    const { ref: TableName } = await cloud.provision(type, 'Tenants', tenantTable);
    for (const id of ['lost', 'whole', 'ghost']) await put(new DynamoDBClient(cloud.client), TableName, id);
    await cloud.stop({ keepState: true });

    // What a kill between the two writes leaves: an entry without item, an item without entry, and no clean end.
    const { Level } = createRequire(createRequire(import.meta.url).resolve('dynalite'))('level');
    const level = new Level(path.join(cloud.stateDir, 'dynamodb'), { valueEncoding: 'json' });
    for await (const [key, value] of level.iterator()) {
      const text = JSON.stringify(value);
      if (key.startsWith('index-') && text.includes('lost')) await level.del(key);
      if (key.startsWith('item-') && text.includes('ghost')) await level.del(key);
    }
    await level.close();
    writeFileSync(path.join(cloud.stateDir, 'dynamodb.running'), '');

    cloud = await startCloud(createModule, { stateDir: cloud.stateDir });
    await cloud.provision(type, 'Tenants', tenantTable);
    const query = new QueryCommand({
      TableName,
      IndexName: 'names',
      KeyConditionExpression: 'namesPK = :n',
      ExpressionAttributeValues: { ':n': { S: 'TENANTS' } },
    });
    const { Items } = await new DynamoDBClient(cloud.client).send(query);
    expect(Items?.map(({ tenantId }) => tenantId?.S)).toEqual(['lost', 'whole']);
    await cloud.stop();
  });
});

/** Starts a process that writes numbered items, kills it after `count` acknowledgements, and returns those. */
async function writeUntilKilled(folder: string, count: number): Promise<string[]> {
  const writer = new URL('./dynamodb-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const piece of child.stdout) {
    output += String(piece);
    if (output.split('\n').length > count) child.kill('SIGKILL');
  }
  return output.split('\n').slice(0, -1);
}
