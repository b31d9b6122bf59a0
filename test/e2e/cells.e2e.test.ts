import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CliError } from '../../bin/cli/errors.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import { etcd3Client } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { until } from './support/until.ts';

/** Three cells with NAT instead of endpoints, and room for two tenants each. */
let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud({ context: { cells: 3, egress: 'nat', maxTenantsPerCell: 2 } });
});
afterAll(() => cloud?.dispose());

const createMs = 280_000;
const put = (tenantId: string) =>
  cloud.api.call<{ operation: { operationId: string } }>({
    method: 'PUT',
    path: `/v1/tenants/${tenantId}`,
    body: { spec: { members: 1, size: 'micro', volume: 'ephemeral', storageGiB: 21, quotaMiB: 64 } },
  });

/** Cluster that the tenant's tasks run in, as ECS has it. */
const clusterOf = async (tenantId: string): Promise<string | undefined> => {
  const { members } = await cloud.tenant(tenantId);
  return members[0]?.taskArn?.split('/')[1];
};

describe('three cells', () => {
  const first = ['aa-one', 'bb-one', 'cc-one'];

  test('take tenants in turn, and each tenant is reached by a client of its own', async () => {
    // One after the other: the next one has to see where the one before went.
    for (const id of first) await put(id);
    await until(
      'all three to be available',
      async () => {
        const phases = await Promise.all(first.map(async (id) => (await cloud.tenant(id)).phase));
        return phases.every((phase) => phase === 'available');
      },
      { deadlineMs: createMs },
    );
    const clusters = await Promise.all(first.map(clusterOf));
    expect(new Set(clusters).size).toBe(3);
    const known = cloud.cloud.registry.resourcesOfType('AWS::ECS::Cluster').map(({ ref }) => ref);
    expect([...clusters].sort()).toEqual([...known].sort());
    for (const id of first) {
      const client = await etcd3Client(cloud, id);
      try {
        await client.put('where').value(id);
        expect(await client.get('where').string()).toBe(id);
      } finally {
        client.close();
      }
    }
  });

  test('refuse a tenant when all of them are full, and say what to do; a burst does not get round it', async () => {
    const burst = await Promise.allSettled(
      ['dd', 'ee', 'ff', 'gg', 'hh', 'ii'].map((id) => put(`${id}-two`)),
    );
    const refused = burst.filter((each) => each.status === 'rejected').map(({ reason }) => reason);
    expect(refused).toHaveLength(3);
    for (const error of refused) {
      expect(error).toBeInstanceOf(CliError);
      expect((error as CliError).code).toBe('no-room');
      expect((error as CliError).message).toMatch(/each may have 2 tenants, c1 has 2, c2 has 2, c3 has 2/);
    }
  });

  test('have room again when a tenant has gone, in its cell', async () => {
    const left = await clusterOf('bb-one');
    const { operation } = await cloud.api.call<{ operation: Operation }>({
      method: 'DELETE',
      path: '/v1/tenants/bb-one',
      query: { finalBackup: 'false' },
    });
    await cloud.ended(operation);
    await put('zz-late');
    await until(
      'zz-late to be available',
      async () => (await cloud.tenant('zz-late')).phase === 'available',
      {
        deadlineMs: createMs,
      },
    );
    expect(await clusterOf('zz-late')).toBe(left);
  });
});
