import { describe, expect, test } from 'vitest';
import type { CustomResourceEvent } from '../../../lambdas/core/wire/custom-resource.ts';
import { guard } from '../../../lambdas/guard/guard.ts';

const event = (RequestType: string, properties: object = {}) =>
  ({
    RequestType,
    ResponseURL: 'https://cloudformation.example/answer',
    StackId: 'stack',
    RequestId: 'request',
    LogicalResourceId: 'Guard',
    ResourceType: 'Custom::TenantGuard',
    PhysicalResourceId: 'tenant-guard',
    ResourceProperties: { DestroyWithTenants: 'false', ...properties },
    OldResourceProperties: {},
  }) as unknown as CustomResourceEvent;
const tenants = (...names: string[]) => ({
  store: {
    count: async () => names.length,
    list: async ({ limit }: { limit: number }) => ({ items: names.slice(0, limit) }),
  },
});

describe('deleting the control plane', () => {
  test('is refused while tenants live: how many, who, and what to do', async () => {
    const seven = tenants('acme', 'beta', 'gamma', 'delta', 'eps', 'zeta', 'eta');
    const answer = await guard(event('Delete'), seven);
    expect(answer.status).toBe('FAILED');
    expect(answer.reason).toMatch(/^7 tenants live \(acme, beta, gamma, delta, eps, and 2 more\)/);
    expect(answer.reason).toMatch(/nanny delete acme --yes.*-c destroyWithTenants=true/);
    expect((await guard(event('Delete'), tenants('acme'))).reason).toMatch(/^Tenant acme lives/);
  });

  test('goes on when there is none', async () => {
    expect(await guard(event('Delete'), tenants())).toMatchObject({ status: 'SUCCESS' });
  });

  test('goes on with tenants when that was deployed on purpose, even if they cannot be counted', async () => {
    const broken = {
      store: { count: () => Promise.reject(new Error('no table')), list: () => Promise.reject() },
    };
    const answer = await guard(event('Delete', { DestroyWithTenants: 'true' }), broken);
    expect(answer).toMatchObject({ status: 'SUCCESS' });
  });
});

test.each(['Create', 'Update'])('%s does nothing and always succeeds', async (type) => {
  expect(await guard(event(type), tenants('acme'))).toMatchObject({ status: 'SUCCESS' });
});
