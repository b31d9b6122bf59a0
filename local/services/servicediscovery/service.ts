import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { stableId } from '../../aws/names.ts';
import { type Authorization, AwsError, type JsonService } from '../../aws/service.ts';
import type { MapService, NameMap } from './registry.ts';

const page = { MaxResults: z.int().min(1).max(1000).optional(), NextToken: z.string().optional() };
const addressAttribute = 'AWS_INSTANCE_IPV4';

const requests = {
  CreateService: z.strictObject({
    Name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, 'is not a DNS label'),
    NamespaceId: z.string(),
    CreatorRequestId: z.string().max(64).optional(),
    Description: z.string().max(1024).optional(),
    DnsConfig: z.strictObject({
      RoutingPolicy: z.enum(['MULTIVALUE', 'WEIGHTED']).optional(),
      DnsRecords: z.array(z.strictObject({ Type: z.literal('A'), TTL: z.int().min(0) })).min(1),
    }),
  }),
  GetService: z.strictObject({ Id: z.string() }),
  ListServices: z.strictObject({
    ...page,
    Filters: z
      .array(
        z.strictObject({
          Name: z.literal('NAMESPACE_ID'),
          Values: z.array(z.string()).length(1),
          Condition: z.literal('EQ').optional(),
        }),
      )
      .optional(),
  }),
  DeleteService: z.strictObject({ Id: z.string() }),
  RegisterInstance: z.strictObject({
    ServiceId: z.string(),
    InstanceId: z.string().min(1).max(64),
    CreatorRequestId: z.string().optional(),
    Attributes: z.record(z.string(), z.string()),
  }),
  DeregisterInstance: z.strictObject({ ServiceId: z.string(), InstanceId: z.string() }),
  ListInstances: z.strictObject({ ServiceId: z.string(), ...page }),
  GetOperation: z.strictObject({ OperationId: z.string() }),
  DiscoverInstances: z.strictObject({
    NamespaceName: z.string(),
    ServiceName: z.string(),
    MaxResults: z.int().min(1).max(1000).optional(),
    HealthStatus: z.enum(['HEALTHY', 'ALL', 'HEALTHY_OR_ELSE_ALL']).optional(),
  }),
};
type Requests = { [Name in keyof typeof requests]: z.infer<(typeof requests)[Name]> };
type Handlers = {
  [Name in keyof Requests]: {
    authorize(input: Requests[Name]): Authorization[];
    run(input: Requests[Name]): unknown;
  };
};

export function servicediscoveryService(names: NameMap): JsonService {
  const conditions = (service: MapService) => ({
    'servicediscovery:NamespaceArn': names.arn('namespace', service.namespaceId),
    'servicediscovery:ServiceArn': names.arn('service', service.id),
    'servicediscovery:ServiceName': service.name,
  });
  const onService = (action: string, id: string): Authorization[] => {
    const known = names.services().find((service) => service.id === id);
    return [
      {
        action: `servicediscovery:${action}`,
        resource: names.arn('service', id),
        context: known === undefined ? {} : conditions(known),
      },
    ];
  };
  /** Cloud Map writes the record in the namespace's hosted zone with the rights of its caller. */
  const withRecords = (action: string, id: string): Authorization[] => {
    const namespaceId = names.services().find((service) => service.id === id)?.namespaceId;
    const zone = namespaceId && names.namespaces.get(namespaceId)?.hostedZoneId;
    const record = {
      action: 'route53:ChangeResourceRecordSets',
      resource: `arn:aws:route53:::hostedzone/${zone}`,
    };
    return zone ? [...onService(action, id), record] : onService(action, id);
  };
  const anywhere = (action: string, context: Record<string, string> = {}): Authorization[] => [
    { action: `servicediscovery:${action}`, resource: '*', context },
  ];

  const handlers: Handlers = {
    CreateService: {
      authorize: ({ NamespaceId }) => [
        {
          action: 'servicediscovery:CreateService',
          resource: names.arn('namespace', NamespaceId),
          context: { 'servicediscovery:NamespaceArn': names.arn('namespace', NamespaceId) },
        },
      ],
      run(input) {
        names.namespace(input.NamespaceId);
        const existing = names
          .services()
          .find(
            (service) =>
              service.namespaceId === input.NamespaceId &&
              service.name.toLowerCase() === input.Name.toLowerCase(),
          );
        if (existing !== undefined) {
          throw new AwsError('ServiceAlreadyExists', 'Service already exists.', 400, {
            CreatorRequestId: existing.creatorRequestId,
            ServiceId: existing.id,
            ServiceArn: names.arn('service', existing.id),
          });
        }
        const creatorRequestId = input.CreatorRequestId ?? randomBytes(16).toString('hex');
        const service: MapService = {
          id: `srv-${stableId(16, input.NamespaceId, input.Name, randomBytes(8).toString('hex'))}`,
          name: input.Name,
          namespaceId: input.NamespaceId,
          creatorRequestId,
          createdAt: new Date().toISOString(),
          description: input.Description,
          dnsConfig: input.DnsConfig,
          instances: {},
        };
        names.put(service);
        return { Service: view(names, service) };
      },
    },
    GetService: {
      authorize: ({ Id }) => onService('GetService', Id),
      run: ({ Id }) => ({ Service: view(names, names.service(Id)) }),
    },
    ListServices: {
      authorize: () => anywhere('ListServices'),
      run(input) {
        const wanted = input.Filters?.[0]?.Values[0];
        const all = names.services().filter(({ namespaceId }) => (wanted ?? namespaceId) === namespaceId);
        const { items, NextToken } = cut(all, (service) => service.id, input);
        return { Services: items.map((service) => view(names, service)), NextToken };
      },
    },
    DeleteService: {
      authorize: ({ Id }) => onService('DeleteService', Id),
      run({ Id }) {
        if (Object.keys(names.service(Id).instances).length > 0) {
          throw new AwsError(
            'ResourceInUse',
            'Service contains registered instances; delete the instances first.',
          );
        }
        names.remove(Id);
        return {};
      },
    },
    RegisterInstance: {
      authorize: ({ ServiceId }) => withRecords('RegisterInstance', ServiceId),
      run({ ServiceId, InstanceId, Attributes }) {
        const service = names.service(ServiceId);
        if (!z.ipv4().safeParse(Attributes[addressAttribute]).success) {
          throw new AwsError('InvalidInput', `Attribute ${addressAttribute} must be an IPv4 address.`);
        }
        names.put({ ...service, instances: { ...service.instances, [InstanceId]: Attributes } });
        return { OperationId: done(names, 'REGISTER_INSTANCE', ServiceId, InstanceId) };
      },
    },
    DeregisterInstance: {
      authorize: ({ ServiceId }) => withRecords('DeregisterInstance', ServiceId),
      run({ ServiceId, InstanceId }) {
        const service = names.service(ServiceId);
        const { [InstanceId]: leaving, ...instances } = service.instances;
        if (leaving === undefined) {
          throw new AwsError('InstanceNotFound', `Instance ${InstanceId} is not registered.`);
        }
        names.put({ ...service, instances });
        return { OperationId: done(names, 'DEREGISTER_INSTANCE', ServiceId, InstanceId) };
      },
    },
    ListInstances: {
      authorize: ({ ServiceId }) =>
        anywhere('ListInstances', { 'servicediscovery:ServiceArn': names.arn('service', ServiceId) }),
      run(input) {
        const all = Object.entries(names.service(input.ServiceId).instances);
        const { items, NextToken } = cut(all, ([id]) => id, input);
        return { Instances: items.map(([Id, Attributes]) => ({ Id, Attributes })), NextToken };
      },
    },
    GetOperation: {
      authorize: () => anywhere('GetOperation'),
      run({ OperationId }) {
        const operation = names.operations.get(OperationId);
        if (operation === undefined) {
          throw new AwsError('OperationNotFound', `No operation with id ${OperationId} exists.`);
        }
        const at = new Date(operation.createdAt);
        return {
          Operation: {
            Id: operation.id,
            Type: operation.type,
            Status: 'SUCCESS',
            CreateDate: at,
            UpdateDate: at,
            Targets: operation.targets,
          },
        };
      },
    },
    DiscoverInstances: {
      authorize: ({ NamespaceName, ServiceName }) =>
        anywhere('DiscoverInstances', {
          'servicediscovery:NamespaceName': NamespaceName,
          'servicediscovery:ServiceName': ServiceName,
        }),
      run(input) {
        const namespace = [...names.namespaces.values()].find(({ name }) => name === input.NamespaceName);
        if (namespace === undefined) {
          throw new AwsError('NamespaceNotFound', `No namespace ${input.NamespaceName} exists.`);
        }
        const service = names
          .services()
          .find(({ namespaceId, name }) => namespaceId === namespace.id && name === input.ServiceName);
        if (service === undefined) {
          throw new AwsError('ServiceNotFound', `Service not found: ${input.ServiceName}`);
        }
        return {
          Instances: Object.entries(service.instances)
            .slice(0, input.MaxResults ?? 100)
            .map(([InstanceId, Attributes]) => ({
              InstanceId,
              NamespaceName: namespace.name,
              ServiceName: service.name,
              HealthStatus: 'UNKNOWN',
              Attributes,
            })),
        };
      },
    },
  };
  const operation = <Name extends keyof Requests>(name: Name) => {
    const read = (raw: unknown) => parse(requests[name], raw) as Requests[Name];
    return {
      authorize: (raw: unknown) => handlers[name].authorize(read(raw)),
      run: async (raw: unknown) => handlers[name].run(read(raw)),
    };
  };
  const all = Object.keys(requests) as (keyof Requests)[];
  return {
    kind: 'json',
    name: 'servicediscovery',
    targetPrefix: 'Route53AutoNaming_v20170314',
    jsonVersion: '1.1',
    operations: Object.fromEntries(all.map((name) => [name, operation(name)])),
  };
}

function done(
  names: NameMap,
  type: 'REGISTER_INSTANCE' | 'DEREGISTER_INSTANCE',
  serviceId: string,
  instanceId: string,
): string {
  return names.finished({
    id: randomBytes(16).toString('hex'),
    type,
    createdAt: new Date().toISOString(),
    targets: { SERVICE: serviceId, INSTANCE: instanceId },
  });
}

function view(names: NameMap, service: MapService) {
  return {
    Id: service.id,
    Arn: names.arn('service', service.id),
    Name: service.name,
    NamespaceId: service.namespaceId,
    Description: service.description,
    DnsConfig: service.dnsConfig,
    Type: 'DNS_HTTP',
    CreateDate: new Date(service.createdAt),
    CreatorRequestId: service.creatorRequestId,
    InstanceCount: Object.keys(service.instances).length,
  };
}

function cut<T>(
  all: T[],
  idOf: (item: T) => string,
  input: { MaxResults?: number; NextToken?: string },
): { items: T[]; NextToken?: string } {
  const { NextToken: after } = input;
  const sorted = all.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((item) => idOf(item) > after);
  const items = rest.slice(0, input.MaxResults ?? 100);
  const last = items.at(-1);
  return rest.length > items.length && last !== undefined ? { items, NextToken: idOf(last) } : { items };
}

function parse(schema: z.ZodType, raw: unknown): unknown {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new AwsError('InvalidInput', problems.join('; '));
}
