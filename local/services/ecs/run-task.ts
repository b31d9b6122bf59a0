import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { AwsError, type CloudContext } from '../../aws/service.ts';
import { nextAddress } from './addresses.ts';
import type { EcsChaosState } from './chaos.ts';
import { fargateSize } from './fargate.ts';
import type { TaskDefinitionRecord, TaskRecord, VolumeRecord } from './model.ts';
import { arnOf, findCluster, findTaskDefinition } from './registry.ts';
import { invalidParameter, type RunTaskInput } from './requests.ts';
import { contentHash, type EcsStore } from './store.ts';

export interface RunTaskDeps {
  readonly context: CloudContext;
  readonly store: EcsStore;
  readonly chaos: EcsChaosState;
  now(): Date;
}

const dayMs = 86_400_000;
/** Within this time an address that a task gave back goes to nobody else, unless the subnet has no other. */
const addressRestMs = 10 * 60_000;

const id = (bytes: number) => randomBytes(bytes).toString('hex');
const uuid = () => id(16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

/**
 * Records the tasks of a RunTask call, on disk before it returns. `started` are those to launch now: none when the
 * client token was seen before (AWS keeps tokens for up to 24 hours).
 */
export function runTask(
  input: RunTaskInput,
  deps: RunTaskDeps,
): { tasks: TaskRecord[]; started: TaskRecord[]; failures: { reason: string; arn?: string }[] } {
  const { state } = deps.store;
  const cluster = findCluster(state, deps.context, input.cluster);
  const token = input.clientToken && `${cluster.clusterArn} ${input.clientToken}`;
  const { clientToken: _, ...parameters } = input;
  const requestHash = contentHash({ ...parameters, cluster: cluster.clusterArn });
  const earlier = token && state.clientTokens[token];
  if (earlier && deps.now().getTime() - earlier.at < dayMs) {
    if (earlier.requestHash !== requestHash)
      throw new AwsError(
        'ConflictException',
        'The client token was already used in a request with different parameters.',
        400,
        { resourceIds: earlier.taskArns },
      );
    const tasks = earlier.taskArns.map((arn) => state.tasks[arn]).filter((task) => task !== undefined);
    return { tasks, started: [], failures: [] };
  }
  const record = findTaskDefinition(state, input.taskDefinition);
  if (record.status === 'INACTIVE') throw new AwsError('ClientException', 'TaskDefinition is inactive');
  validate(input, record);
  const tasks: TaskRecord[] = [];
  const failures: { reason: string }[] = [];
  for (let index = 0; index < input.count; index += 1) {
    const result = createTask(input, index, cluster.clusterArn, record, deps);
    if (typeof result === 'string') failures.push({ reason: result });
    else tasks.push(result);
  }
  if (token && tasks.length > 0)
    state.clientTokens[token] = {
      requestHash,
      taskArns: tasks.map(({ taskArn }) => taskArn),
      at: deps.now().getTime(),
    };
  deps.store.save();
  return { tasks, started: tasks, failures };
}

/** What needs more than the request alone. @throws AwsError InvalidParameterException, ClientException */
function validate(input: RunTaskInput, { definition }: TaskDefinitionRecord): void {
  if (input.launchType && input.capacityProviderStrategy?.length)
    throw invalidParameter(
      'Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.',
    );
  if (!input.networkConfiguration)
    throw invalidParameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.");
  for (const { name } of input.overrides?.containerOverrides ?? []) {
    if (!definition.containerDefinitions.some((container) => container.name === name))
      throw invalidParameter(
        `Override for container named ${name} is not a container in the TaskDefinition.`,
      );
  }
  const atLaunch = definition.volumes
    .filter(({ configuredAtLaunch }) => configuredAtLaunch)
    .map(({ name }) => name);
  const given = input.volumeConfigurations.map(({ name }) => name);
  for (const name of given.filter((name) => !atLaunch.includes(name)))
    throw invalidParameter(
      `The volume configuration ${name} does not match a volume that is configuredAtLaunch in the task definition.`,
    );
  for (const name of atLaunch.filter((name) => !given.includes(name)))
    throw invalidParameter(
      `The task definition's volume ${name} is configuredAtLaunch: a volume configuration must be given for it.`,
    );
}

/** The task, or the reason why there is no room for it. */
function createTask(
  input: RunTaskInput,
  index: number,
  clusterArn: string,
  record: TaskDefinitionRecord,
  deps: RunTaskDeps,
): TaskRecord | string {
  const { context, store, chaos } = deps;
  const { definition } = record;
  const placement = placementOf(input, clusterArn, store);
  const { subnets } = input.networkConfiguration!.awsvpcConfiguration;
  const found = subnets.map((subnetId) => ({
    subnetId,
    subnet: context.registry.byRef('AWS::EC2::Subnet', subnetId)?.attributes,
  }));
  for (const { subnetId, subnet } of found) {
    if (!subnet)
      throw invalidParameter(
        `Error retrieving subnet information for [${subnetId}]: The subnet ID '${subnetId}' does not exist (ErrorCode: InvalidSubnetID.NotFound)`,
      );
  }
  const { subnetId, subnet } = found[index % found.length]!;
  const { CidrBlock: cidr = '', AvailabilityZone: zone = '' } = subnet!;
  const size = fargateSize(
    input.overrides?.cpu ?? definition.cpu,
    input.overrides?.memory ?? definition.memory,
  );
  const refused = chaos.launchFailures.get(zone);
  if (refused !== undefined) return refused;
  const now = deps.now().getTime();
  const ip = takeAddress(store, subnetId, cidr, now);
  if (!ip) return 'RESOURCE:ENI';

  const taskId = id(16);
  const clusterName = clusterArn.split('/')[1];
  const taskArn = arnOf(context, `task/${clusterName}/${taskId}`);
  const tags =
    input.propagateTags === 'TASK_DEFINITION'
      ? [...record.tags.filter(({ key }) => !input.tags.some((tag) => tag.key === key)), ...input.tags]
      : input.tags;
  const volume = createVolume(input, taskArn, zone, now, deps);
  const task: TaskRecord = {
    taskId,
    taskArn,
    clusterArn,
    taskDefinitionArn: record.taskDefinitionArn,
    group: input.group ?? `family:${record.family}`,
    startedBy: input.startedBy,
    ...placement,
    enableExecuteCommand: input.enableExecuteCommand,
    ...size,
    ephemeralGiB:
      input.overrides?.ephemeralStorage?.sizeInGiB ?? definition.ephemeralStorage?.sizeInGiB ?? 20,
    overrides: input.overrides ?? {},
    createdAt: now,
    network: {
      subnetId,
      subnetCidr: cidr,
      zone,
      ip,
      mac: `0a:${id(5).match(/../g)!.join(':')}`,
      networkInterfaceId: `eni-${id(9).slice(1)}`,
      attachmentId: uuid(),
      status: 'PRECREATED',
    },
    volume: volume && { volumeId: volume.volumeId, attachmentId: uuid() },
    containers: definition.containerDefinitions.map(({ name }) => ({
      name,
      containerArn: arnOf(context, `container/${clusterName}/${taskId}/${uuid()}`),
      runtimeId: `${taskId}-${String(randomBytes(4).readUInt32BE()).padStart(10, '0')}`,
      lastStatus: 'PENDING',
      restartCount: 0,
    })),
    secrets: { metadata: id(16), credentials: uuid(), token: id(24) },
    tags,
    lastStatus: 'PROVISIONING',
    desiredStatus: 'RUNNING',
    version: 1,
    updatedAt: now,
  };
  store.state.tasks[taskArn] = task;
  return task;
}

/** Only Fargate exists here; without it ECS looks for instances of the cluster, and there are none. */
function placementOf(
  input: RunTaskInput,
  clusterArn: string,
  store: EcsStore,
): { launchType?: string; capacityProviderName?: string } {
  const strategy = input.capacityProviderStrategy ?? [];
  const defaults = store.state.clusters[clusterArn]?.defaultCapacityProviderStrategy ?? [];
  const provider = (strategy.length > 0 ? strategy : input.launchType ? [] : defaults)[0]?.capacityProvider;
  if (provider?.startsWith('FARGATE')) return { launchType: 'FARGATE', capacityProviderName: provider };
  if (provider)
    throw invalidParameter(
      'The specified capacity provider was not found. Specify a valid name and try again.',
    );
  if (input.launchType === 'FARGATE') return { launchType: 'FARGATE' };
  throw invalidParameter('No Container Instances were found in your cluster.');
}

function takeAddress(store: EcsStore, subnetId: string, cidr: string, now: number): string | undefined {
  const tasks = Object.values(store.state.tasks);
  const used = tasks.filter((task) => task.lastStatus !== 'STOPPED');
  const resting = tasks.filter(({ stoppedAt }) => stoppedAt !== undefined && now - stoppedAt < addressRestMs);
  const ips = (list: TaskRecord[]) => new Set(list.map(({ network }) => network.ip));
  const next = nextAddress(cidr, store.state.lastAddress[subnetId] ?? 3, ips(used), ips(resting));
  if (next) store.state.lastAddress[subnetId] = next.host;
  return next?.ip;
}

function createVolume(
  input: RunTaskInput,
  taskArn: string,
  zone: string,
  now: number,
  deps: RunTaskDeps,
): VolumeRecord | undefined {
  const configuration = input.volumeConfigurations[0];
  if (!configuration) return undefined;
  const { managedEBSVolume: ebs, name } = configuration;
  const volumeId = `vol-${id(9).slice(1)}`;
  const volume: VolumeRecord = {
    volumeId,
    name,
    taskArn,
    zone,
    sizeInGiB: ebs.sizeInGiB,
    volumeType: ebs.volumeType,
    filesystemType: ebs.filesystemType,
    encrypted: ebs.encrypted,
    snapshotId: ebs.snapshotId,
    roleArn: ebs.roleArn,
    deleteOnTermination: ebs.terminationPolicy?.deleteOnTermination ?? true,
    tags: ebs.tagSpecifications?.flatMap(({ tags }) => tags ?? []) ?? [],
    createdAt: now,
    directory: path.join(deps.context.stateDir, 'ecs', 'volumes', volumeId),
    state: 'in-use',
  };
  deps.store.state.volumes[volumeId] = volume;
  return volume;
}
