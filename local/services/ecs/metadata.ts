import { timingSafeEqual } from 'node:crypto';
import type { CloudContext, RawRequest, RawResponse, TemporaryCredentials } from '../../aws/service.ts';
import { subnetGateway } from './addresses.ts';
import { mountPrefix, taskRoleArn } from './environment.ts';
import type { ContainerRecord, EcsState, TaskRecord } from './model.ts';
import { privateDnsName } from './views.ts';

/** Credentials are renewed this long before they end; the SDK asks again 5 minutes before. */
const renewBeforeMs = 15 * 60_000;

/**
 * What a container finds beside it on Fargate: task metadata v4 and the credentials of its task role. Unsigned; the
 * paths carry unguessable ids, credentials ask for the authorisation token too.
 */
export function createMetadataHandler(
  context: CloudContext,
  state: EcsState,
  now: () => Date,
): (request: RawRequest) => Promise<RawResponse> {
  const issued = new Map<string, TemporaryCredentials>();

  function credentials(task: TaskRecord, request: RawRequest): RawResponse {
    const role = taskRoleArn(task, state);
    if (!role) return problem(404, 'This task has no task role.');
    if (!same(request.headers.authorization ?? '', task.secrets.token))
      return problem(401, 'The authorization token is not the one of this task.');
    let current = issued.get(task.taskId);
    if (!current || current.expiration.getTime() - now().getTime() < renewBeforeMs) {
      // The session name is the task id, as on AWS: the join function knows the caller by it.
      current = context.assumeRole(role, task.taskId);
      issued.set(task.taskId, current);
    }
    return json({
      RoleArn: role,
      AccessKeyId: current.accessKeyId,
      SecretAccessKey: current.secretAccessKey,
      Token: current.sessionToken,
      Expiration: current.expiration.toISOString(),
    });
  }

  return async (request) => {
    if (request.method !== 'GET') return problem(405, 'Only GET.');
    const [kind, secret = '', ...rest] = request.path.slice(mountPrefix.length).split('/');
    const live = Object.values(state.tasks).filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    if (kind === 'credentials' && rest.length === 0) {
      const task = live.find(({ secrets }) => same(secrets.credentials, secret));
      return task ? credentials(task, request) : problem(404, 'No such credentials.');
    }
    const [id = '', index = ''] = secret.split('-');
    const task = kind === 'v4' ? live.find(({ secrets }) => same(secrets.metadata, id)) : undefined;
    const container = task?.containers[Number(index)];
    if (!task || !container) return problem(404, 'No such container.');
    switch (rest.join('/')) {
      case '':
        return json(containerMetadata(task, container, state, context));
      case 'task':
        return json(taskMetadata(task, state, context));
      case 'taskWithTags':
        return json({
          ...taskMetadata(task, state, context),
          TaskTags: Object.fromEntries(task.tags.map(({ key, value }) => [key, value])),
        });
      case 'stats':
        return json(stats(task, now()));
      case 'task/stats':
        return json(
          Object.fromEntries(task.containers.map(({ runtimeId }) => [runtimeId, stats(task, now())])),
        );
      default:
        return problem(404, 'Unknown metadata path.');
    }
  };
}

function json(body: unknown, status = 200): RawResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function problem(status: number, message: string): RawResponse {
  return json({ code: 'Error', message, HTTPErrorCode: status }, status);
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function taskMetadata(task: TaskRecord, state: EcsState, context: CloudContext) {
  const record = state.taskDefinitions[task.taskDefinitionArn]!;
  return {
    Cluster: task.clusterArn,
    TaskARN: task.taskArn,
    Family: record.family,
    Revision: String(record.revision),
    DesiredStatus: task.desiredStatus,
    KnownStatus: task.lastStatus,
    // In vCPUs here, not in units.
    Limits: { CPU: Number(task.cpu) / 1024, Memory: Number(task.memory) },
    PullStartedAt: iso(task.pullStartedAt),
    PullStoppedAt: iso(task.pullStoppedAt),
    AvailabilityZone: task.network.zone,
    LaunchType: task.launchType,
    Containers: task.containers.map((container) => containerMetadata(task, container, state, context)),
  };
}

function containerMetadata(
  task: TaskRecord,
  container: ContainerRecord,
  state: EcsState,
  context: CloudContext,
) {
  const record = state.taskDefinitions[task.taskDefinitionArn]!;
  const declared = record.definition.containerDefinitions.find(({ name }) => name === container.name)!;
  const { gateway, dns } = subnetGateway(task.network.subnetCidr);
  return {
    DockerId: container.runtimeId,
    Name: container.name,
    DockerName: container.name,
    Image: declared.image,
    Labels: {
      'com.amazonaws.ecs.cluster': task.clusterArn,
      'com.amazonaws.ecs.container-name': container.name,
      'com.amazonaws.ecs.task-arn': task.taskArn,
      'com.amazonaws.ecs.task-definition-family': record.family,
      'com.amazonaws.ecs.task-definition-version': String(record.revision),
    },
    DesiredStatus: task.desiredStatus,
    KnownStatus: container.lastStatus,
    Limits: { CPU: declared.cpu ?? 0, Memory: declared.memory },
    CreatedAt: iso(container.startedAt),
    StartedAt: iso(container.startedAt),
    Type: 'NORMAL',
    ...(declared.restartPolicy?.enabled && { RestartCount: container.restartCount }),
    ContainerARN: container.containerArn,
    Networks: [
      {
        NetworkMode: 'awsvpc',
        IPv4Addresses: [task.network.ip],
        AttachmentIndex: 0,
        MACAddress: task.network.mac,
        IPv4SubnetCIDRBlock: task.network.subnetCidr,
        DomainNameServers: [dns],
        PrivateDNSName: privateDnsName(task.network.ip, context.region),
        SubnetGatewayIpv4Address: `${gateway}/${task.network.subnetCidr.split('/')[1]}`,
      },
    ],
    Snapshotter: 'overlayfs',
  };
}

/** Docker's stats as far as they are true here: processes are not measured, only their limit is known. */
function stats(task: TaskRecord, now: Date) {
  return { read: now.toISOString(), memory_stats: { limit: Number(task.memory) * 1024 * 1024 } };
}
