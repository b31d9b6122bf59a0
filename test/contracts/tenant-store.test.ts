import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe } from 'vitest';
import { DynamoTenantStore } from '../../lambdas/adapters/dynamo-tenant-store.ts';
import { createModule } from '../../local/services/dynamodb/index.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { startCloud, type TestCloud } from '../local/services/cloud.ts';
import { tenantTable } from '../local/services/tenant-table.ts';
import { tenantStoreContract } from './tenant-store.ts';

describe('TenantStore in memory', () => {
  tenantStoreContract(async () => {
    let now = new Date('2026-11-22T10:00:00Z');
    return {
      store: new InMemoryTenantStore({ now: () => now }),
      setNow: (next) => {
        now = next;
      },
    };
  });
});

describe('TenantStore in DynamoDB', () => {
  let cloud: TestCloud;
  let tables = 0;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
  });
  afterAll(() => cloud.stop());

  tenantStoreContract(async () => {
    const { ref } = await cloud.provision('AWS::DynamoDB::GlobalTable', `Tenants${tables++}`, tenantTable);
    let now = new Date('2026-11-22T10:00:00Z');
    const clock = { now: () => now, sleep: async () => {} };
    const client = new DynamoDBClient(cloud.client);
    return {
      store: new DynamoTenantStore({ tableName: ref, clock, client }),
      setNow: (next) => {
        now = next;
      },
    };
  });
});
