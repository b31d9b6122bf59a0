import { ServiceDiscoveryClient } from '@aws-sdk/client-servicediscovery';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CloudMapNameRegistry } from '../../lambdas/adapters/cloud-map-name-registry.ts';
import { ControlPlaneError, TransientError } from '../../lambdas/core/errors.ts';
import type { Cell, NameRegistry } from '../../lambdas/core/ports.ts';
import { createModule } from '../../local/services/servicediscovery/index.ts';
import { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import { startCloud, type TestCloud } from '../local/services/cloud.ts';
import { testCell } from './cell.ts';

function nameRegistryContract(world: () => { names: NameRegistry; cell: Cell }): void {
  it('creates the name once, however often it is asked', async () => {
    const { names, cell } = world();
    const first = await names.ensureService(cell, 'twice');
    expect(await names.ensureService(cell, 'twice')).toEqual(first);
    expect(await names.ensureService(cell, 'other')).not.toEqual(first);
  });

  it('lists the members that are registered, the newest address of each', async () => {
    const { names, cell } = world();
    const { serviceId } = await names.ensureService(cell, 'acme');
    await names.register(serviceId, 'maaaaaaaa', '10.0.0.1');
    await names.register(serviceId, 'mbbbbbbbb', '10.0.1.1');
    await names.register(serviceId, 'maaaaaaaa', '10.0.0.2');
    expect(await names.listInstances(serviceId)).toEqual({ maaaaaaaa: '10.0.0.2', mbbbbbbbb: '10.0.1.1' });
    await names.deregister(serviceId, 'maaaaaaaa');
    await names.deregister(serviceId, 'maaaaaaaa');
    expect(await names.listInstances(serviceId)).toEqual({ mbbbbbbbb: '10.0.1.1' });
  });

  it('keeps a name that still has members', async () => {
    const { names, cell } = world();
    const { serviceId } = await names.ensureService(cell, 'busy');
    await names.register(serviceId, 'maaaaaaaa', '10.0.0.1');
    await expect(names.deleteService(serviceId)).rejects.toThrow(TransientError);
    await names.deregister(serviceId, 'maaaaaaaa');
    await names.deleteService(serviceId);
    await names.deleteService(serviceId);
    expect(await names.listInstances(serviceId)).toEqual({});
    await names.deregister(serviceId, 'maaaaaaaa');
  });

  it('registers nothing under a name that is gone', async () => {
    const { names } = world();
    await expect(names.register('srv-gone', 'maaaaaaaa', '10.0.0.1')).rejects.toThrow(ControlPlaneError);
  });
}

describe('NameRegistry in memory', () => {
  const names = new InMemoryNameRegistry();
  nameRegistryContract(() => ({ names, cell: testCell() }));
});

describe('NameRegistry in Cloud Map', () => {
  const namespace = [
    'AWS::ServiceDiscovery::PrivateDnsNamespace',
    'Names',
    { Name: 'etcd.internal' },
  ] as const;
  let cloud: TestCloud;
  let cell: Cell;
  let names: NameRegistry;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
    cell = testCell({ namespaceId: (await cloud.provision(...namespace)).ref });
    names = new CloudMapNameRegistry({ client: new ServiceDiscoveryClient(cloud.client) });
  });
  afterAll(() => cloud.stop());
  nameRegistryContract(() => ({ names, cell }));

  it('gives a name that was deleted and made again an id of its own', async () => {
    const first = await names.ensureService(cell, 'again');
    await names.deleteService(first.serviceId);
    expect(await names.ensureService(cell, 'again')).not.toEqual(first);
  });

  it('lists more members than fit on a page', async () => {
    const { serviceId } = await names.ensureService(cell, 'many');
    for (let n = 100; n < 205; n++) await names.register(serviceId, `m00000${n}`, `10.0.0.${n}`);
    expect(Object.keys(await names.listInstances(serviceId))).toHaveLength(105);
  });

  it('asks IAM for the DNS records too, because Cloud Map writes them as its caller', async () => {
    const { serviceId } = await names.ensureService(cell, 'acme');
    cloud.asked.length = 0;
    await names.register(serviceId, 'mcccccccc', '10.0.2.1');
    expect(cloud.asked.map(({ action }) => action)).toEqual([
      'servicediscovery:RegisterInstance',
      'route53:ChangeResourceRecordSets',
    ]);
  });

  it('keeps names over a restart', async () => {
    const { serviceId } = await names.ensureService(cell, 'lasting');
    await names.register(serviceId, 'maaaaaaaa', '10.0.0.9');
    await cloud.stop({ keepState: true });
    cloud = await startCloud(createModule, { stateDir: cloud.stateDir });
    const { ref } = await cloud.provision(...namespace);
    expect(ref).toBe(cell.namespaceId);
    names = new CloudMapNameRegistry({ client: new ServiceDiscoveryClient(cloud.client) });
    expect(await names.ensureService(cell, 'lasting')).toEqual({ serviceId });
    expect(await names.listInstances(serviceId)).toEqual({ maaaaaaaa: '10.0.0.9' });
  });
});
