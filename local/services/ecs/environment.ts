import path from 'node:path';
import type { CloudContext } from '../../aws/service.ts';
import type { ContainerRecord, EcsState, TaskRecord } from './model.ts';
import type { ContainerSpec } from './runtime.ts';

export const mountPrefix = '/_ecs/';

export function containerIndex(task: TaskRecord, container: ContainerRecord): number {
  return task.containers.indexOf(container);
}

export function taskRoleArn(task: TaskRecord, state: EcsState): string | undefined {
  return task.overrides.taskRoleArn ?? state.taskDefinitions[task.taskDefinitionArn]?.definition.taskRoleArn;
}

export function taskDirectory(context: CloudContext, taskId: string): string {
  return path.join(context.stateDir, 'ecs', 'tasks', taskId);
}

/** Everything a runtime needs of one container of a task. */
export function containerSpec(
  task: TaskRecord,
  container: ContainerRecord,
  state: EcsState,
  context: CloudContext,
): ContainerSpec {
  const { definition } = state.taskDefinitions[task.taskDefinitionArn]!;
  const declared = definition.containerDefinitions.find(({ name }) => name === container.name)!;
  const override = task.overrides.containerOverrides?.find(({ name }) => name === container.name);
  const directory = taskDirectory(context, task.taskId);
  const given = [...declared.environment, ...(override?.environment ?? [])].map(({ name, value }) => [
    name,
    value,
  ]);
  const environment: Record<string, string> = {
    ...awsEnvironment(task, container, state, context),
    ...Object.fromEntries(given),
  };
  for (const [name, value] of Object.entries(environment)) environment[name] = context.rewriteHosts(value);
  return {
    name: `etcd-nanny-${task.taskId}-${container.name}`,
    image: declared.image,
    command: override?.command ?? declared.command,
    environment,
    mounts: declared.mountPoints.map(({ sourceVolume, containerPath }) => ({
      containerPath,
      directory: volumeDirectory(task, sourceVolume, state, directory),
    })),
    directory: path.join(directory, 'containers', container.name),
    logFile: path.join(context.stateDir, 'logs', 'tasks', `${task.taskId}.log`),
    network: { ip: task.network.ip, subnetCidr: task.network.subnetCidr, zone: task.network.zone },
    cpuUnits: declared.cpu || Number(task.cpu),
    memoryMiB: declared.memory ?? Number(task.memory),
    linux: {
      user: declared.user,
      readonlyRootFilesystem: declared.readonlyRootFilesystem ?? false,
      initProcess: declared.initProcessEnabled ?? false,
      dropCapabilities: declared.dropCapabilities ?? [],
    },
    marker: task.secrets.metadata,
  };
}

/** The managed volume's folder outlives the task if it is to be kept; all other volumes end with the task. */
function volumeDirectory(task: TaskRecord, name: string, state: EcsState, directory: string): string {
  const managed = task.volume && state.volumes[task.volume.volumeId];
  return managed?.name === name ? managed.directory : path.join(directory, 'volumes', name);
}

function awsEnvironment(
  task: TaskRecord,
  container: ContainerRecord,
  state: EcsState,
  context: CloudContext,
): Record<string, string> {
  const base = `${context.endpointUrl}${mountPrefix}`;
  return {
    AWS_REGION: context.region,
    AWS_DEFAULT_REGION: context.region,
    AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
    AWS_ENDPOINT_URL: context.endpointUrl,
    ECS_CONTAINER_METADATA_URI_V4: `${base}v4/${task.secrets.metadata}-${containerIndex(task, container)}`,
    ...(taskRoleArn(task, state) && {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${base}credentials/${task.secrets.credentials}`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: task.secrets.token,
    }),
  };
}
