import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoTenantStore } from '../../../lambdas/adapters/dynamo-tenant-store.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { Clock } from '../../../lambdas/core/ports.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import type { TestCloud } from './cloud.ts';

const clock: Clock = { now: () => new Date(), sleep: (ms) => new Promise((done) => setTimeout(done, ms)) };

/** What the control plane's functions write down of tenants. Asked of the table itself, with an administrator's rights. */
export interface Records {
  read(tenantId: string): Promise<TenantRecord>;
  /**
   * Lets time pass in one place of a record, where a limit is too long to be waited for: moves a time in it back. What is
   * decided by it is decided by the deployed functions. @throws Error when `change` finds nothing to change
   */
  change(tenantId: string, change: (record: TenantRecord) => TenantRecord | undefined): Promise<void>;
}

export function recordsOf({ cloud }: TestCloud): Records {
  const { url: endpoint, region, credentials, outputs } = cloud;
  const [tableName] = [...outputs.values()].flatMap((values) => values.get('TableName') ?? []);
  const client = new DynamoDBClient({ endpoint, region, credentials });
  const store = new DynamoTenantStore({ tableName: String(tableName), clock, client });
  const read = async (tenantId: string): Promise<TenantRecord> => {
    const record = await store.get(tenantId);
    if (record === undefined) throw new Error(`There is no record of ${tenantId}.`);
    return record;
  };
  return {
    read,
    async change(tenantId, change) {
      const { saved } = await updateTenant({ store, clock }, await read(tenantId), change);
      if (!saved) throw new Error(`The record of ${tenantId} has nothing of the kind to change.`);
    },
  };
}

export const earlier = (at: string, minutes: number): string =>
  new Date(Date.parse(at) - minutes * 60_000).toISOString();
