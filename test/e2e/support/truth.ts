import { ECSClient, paginateListTasks } from '@aws-sdk/client-ecs';
import {
  ListInstancesCommand,
  paginateListServices,
  ServiceDiscoveryClient,
} from '@aws-sdk/client-servicediscovery';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import { etcdctl } from './clients.ts';
import type { TestCloud } from './cloud.ts';

/** What ECS and Cloud Map themselves know, asked as an administrator. */
export interface Truth {
  /** ARNs of the tenant's tasks, or of all; `STOPPED`: as long as ECS still shows them. */
  tasks(desiredStatus: 'RUNNING' | 'STOPPED', tenantId?: string): Promise<string[]>;
  /** Member name → address; undefined without a name service. */
  instances(tenantId: string): Promise<Record<string, string> | undefined>;
  /** Names of all services. */
  services(): Promise<string[]>;
  close(): void;
}

export function askAws({ cloud }: TestCloud): Truth {
  const access = { endpoint: cloud.url, region: cloud.region, credentials: cloud.credentials };
  const ecs = new ECSClient(access);
  const names = new ServiceDiscoveryClient(access);
  const cluster = cloud.registry.resourcesOfType('AWS::ECS::Cluster')[0]!.ref;
  const services = async () => {
    const found: { Id?: string; Name?: string }[] = [];
    for await (const page of paginateListServices({ client: names }, {}))
      found.push(...(page.Services ?? []));
    return found;
  };
  return {
    async tasks(desiredStatus, tenantId) {
      const startedBy = tenantId === undefined ? undefined : `etcd-nanny/${tenantId}`;
      const found: string[] = [];
      const pages = paginateListTasks({ client: ecs }, { cluster, startedBy, desiredStatus });
      for await (const page of pages) found.push(...(page.taskArns ?? []));
      return found;
    },
    async instances(tenantId) {
      const service = (await services()).find(({ Name }) => Name === tenantId);
      if (service === undefined) return undefined;
      const answer = await names.send(new ListInstancesCommand({ ServiceId: service.Id, MaxResults: 100 }));
      return Object.fromEntries(
        (answer.Instances ?? []).map(({ Id, Attributes }) => [Id!, Attributes?.AWS_INSTANCE_IPV4 ?? '']),
      );
    },
    services: async () => (await services()).map(({ Name }) => Name!),
    close() {
      ecs.destroy();
      names.destroy();
    },
  };
}

export interface EtcdSeen {
  /** Client URL by member name, as `etcdctl member list` has it. */
  readonly members: Readonly<Record<string, string>>;
  /** What each endpoint says its cluster is, hex. */
  readonly clusterIds: readonly string[];
}

export async function askEtcd(cloud: TestCloud, tenantId: string): Promise<EtcdSeen> {
  const ctl = await etcdctl(cloud, tenantId);
  try {
    const [list, status] = await Promise.all([
      ctl.run('member', 'list'),
      ctl.run('endpoint', 'status', '-w', 'json'),
    ]);
    const members = list.split('\n').map((line) => line.split(', '));
    return {
      members: Object.fromEntries(members.map(([, , name, , clientUrl]) => [name!, clientUrl!])),
      // uint64: read as text, JSON.parse would round it.
      clusterIds: [...status.matchAll(/"cluster_id":(\d+)/g)].map(([, id]) => BigInt(id!).toString(16)),
    };
  } finally {
    ctl.dispose();
  }
}

/** Everything that is not as it should be after a create, in words; empty when all agree. */
export async function problemsOf(
  cloud: TestCloud,
  aws: Truth,
  operation: Operation,
  members: number,
): Promise<string[]> {
  const { tenantId, operationId } = operation;
  const path = `/v1/tenants/${tenantId}/operations/${operationId}`;
  const [tenant, end, running, stopped, instances, etcd] = await Promise.all([
    cloud.tenant(tenantId),
    cloud.api.call<Operation>({ method: 'GET', path }),
    aws.tasks('RUNNING', tenantId),
    aws.tasks('STOPPED', tenantId),
    aws.instances(tenantId),
    askEtcd(cloud, tenantId),
  ]);
  const problems: string[] = [];
  const expectSame = (what: string, is: unknown, should: unknown) => {
    const [a, b] = [JSON.stringify(is), JSON.stringify(should)];
    if (a !== b) problems.push(`${what}: ${a} instead of ${b}`);
  };
  const sorted = (all: readonly (string | null)[]) => [...all].sort();
  const record = (key: 'ip' | 'clientUrl') =>
    sorted(tenant.members.map((member) => `${member.name} ${member[key]}`));
  const pairs = (all: Readonly<Record<string, string>> = {}) =>
    sorted(Object.entries(all).map(([name, value]) => `${name} ${value}`));
  expectSame('operation', end.state, 'succeeded');
  expectSame('phase', [tenant.phase, tenant.operation], ['available', null]);
  expectSame('members on record', tenant.members.length, members);
  expectSame(
    'voters',
    tenant.members.filter(({ role, healthy }) => role === 'voting' && healthy).length,
    members,
  );
  expectSame('members of etcd', pairs(etcd.members), record('clientUrl'));
  expectSame('clusters', [...new Set(etcd.clusterIds)], [tenant.clusterId]);
  expectSame('endpoints that answer', etcd.clusterIds.length, members);
  expectSame('tasks', sorted(running), sorted(tenant.members.map(({ taskArn }) => taskArn)));
  expectSame('tasks that came and went', stopped, []);
  expectSame('names', pairs(instances), record('ip'));
  return problems;
}
