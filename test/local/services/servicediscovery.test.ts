import {
  CreateServiceCommand,
  DiscoverInstancesCommand,
  GetOperationCommand,
  GetServiceCommand,
  ListServicesCommand,
  RegisterInstanceCommand,
  ServiceDiscoveryClient,
} from '@aws-sdk/client-servicediscovery';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createModule } from '../../../local/services/servicediscovery/index.ts';
import { startCloud, type TestCloud } from './cloud.ts';

/** What the name registry does not use itself but clients and people do; the rest is in test/contracts. */
describe('Cloud Map', () => {
  let cloud: TestCloud;
  let client: ServiceDiscoveryClient;
  let NamespaceId: string;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
    client = new ServiceDiscoveryClient({ ...cloud.client, disableHostPrefix: true });
    const type = 'AWS::ServiceDiscovery::PrivateDnsNamespace';
    const namespace = await cloud.provision(type, 'Names', { Name: 'etcd.internal' });
    expect(namespace.attributes).toMatchObject({
      Id: namespace.ref,
      HostedZoneId: expect.stringMatching(/^Z/),
    });
    NamespaceId = namespace.ref;
  });
  afterAll(() => cloud.stop());

  const DnsConfig = { DnsRecords: [{ Type: 'A' as const, TTL: 10 }] };
  const create = (Name: string, over = {}) =>
    client.send(new CreateServiceCommand({ Name, NamespaceId, DnsConfig, ...over }));
  const register = (ServiceId: string, ip: string) =>
    client.send(
      new RegisterInstanceCommand({
        ServiceId,
        InstanceId: 'mabcdefgh',
        Attributes: { AWS_INSTANCE_IPV4: ip },
      }),
    );

  it('lets clients discover the instances of a name', async () => {
    const { Service } = await create('acme');
    const { OperationId } = await register(Service!.Id!, '10.0.0.1');
    const { Operation } = await client.send(new GetOperationCommand({ OperationId }));
    expect(Operation).toMatchObject({ Status: 'SUCCESS', Type: 'REGISTER_INSTANCE' });
    const found = await client.send(
      new DiscoverInstancesCommand({ NamespaceName: 'etcd.internal', ServiceName: 'acme' }),
    );
    expect(found.Instances).toMatchObject([
      { InstanceId: 'mabcdefgh', Attributes: { AWS_INSTANCE_IPV4: '10.0.0.1' } },
    ]);
    const described = await client.send(new GetServiceCommand({ Id: Service!.Id! }));
    expect(described.Service).toMatchObject({ Name: 'acme', InstanceCount: 1 });
    expect(described.Service?.CreateDate).toBeInstanceOf(Date);
  });

  it('lists the names of one namespace', async () => {
    await create('bravo');
    const listed = await client.send(
      new ListServicesCommand({ Filters: [{ Name: 'NAMESPACE_ID', Values: [NamespaceId] }] }),
    );
    expect(listed.Services?.map(({ Name }) => Name).sort()).toEqual(['acme', 'bravo']);
    const elsewhere = new ListServicesCommand({ Filters: [{ Name: 'NAMESPACE_ID', Values: ['ns-other'] }] });
    expect((await client.send(elsewhere)).Services).toEqual([]);
  });

  it.each([
    ['NamespaceNotFound', () => create('acme', { NamespaceId: 'ns-none' })],
    ['InvalidInput', () => create('not a label')],
    ['InvalidInput', () => create('wrong', { DnsConfig: { DnsRecords: [{ Type: 'SRV', TTL: 10 }] } })],
    ['ServiceAlreadyExists', () => create('ACME')],
    ['ServiceNotFound', () => register('srv-none', '10.0.0.1')],
  ])('answers %s as AWS does', async (name, call) => {
    await expect(call()).rejects.toMatchObject({ name });
  });

  it('registers no address that is none', async () => {
    const { Service } = await create('charlie');
    await expect(register(Service!.Id!, 'not-an-ip')).rejects.toMatchObject({ name: 'InvalidInput' });
  });
});
