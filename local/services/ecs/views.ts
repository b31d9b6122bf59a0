import type { BusEvent } from '../../aws/service.ts';
import type { ContainerRecord, EcsState, TaskRecord, VolumeRecord } from './model.ts';

/** The documents that ECS shows of its records: API answers (epoch seconds) and events (ISO 8601). */

type Time = (ms: number) => unknown;
const epochSeconds: Time = (ms) => ms / 1000;
const iso: Time = (ms) => new Date(ms).toISOString();

export function privateDnsName(ip: string, region: string): string {
  const domain = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
  return `ip-${ip.replaceAll('.', '-')}.${domain}`;
}

function attachments(task: TaskRecord, volume: VolumeRecord | undefined, region: string, eniType: string) {
  const { network } = task;
  // The address is known once the interface is attached, as on AWS: RunTask's own answer does not have it.
  const attached = network.status !== 'PRECREATED' && {
    networkInterfaceId: network.networkInterfaceId,
    macAddress: network.mac,
    privateDnsName: privateDnsName(network.ip, region),
    privateIPv4Address: network.ip,
  };
  const list = [
    document(network.attachmentId, eniType, network.status, { subnetId: network.subnetId, ...attached }),
  ];
  if (task.volume && volume) {
    list.push(
      document(task.volume.attachmentId, 'AmazonElasticBlockStorage', network.status, {
        volumeId: volume.volumeId,
        volumeName: volume.name,
        volumeSizeGib: String(volume.sizeInGiB),
        filesystemType: volume.filesystemType,
        roleArn: volume.roleArn,
        deleteOnTermination: String(volume.deleteOnTermination),
      }),
    );
  }
  return list;
}

function document(id: string, type: string, status: string, details: Record<string, string>) {
  return { id, type, status, details: Object.entries(details).map(([name, value]) => ({ name, value })) };
}

function containerDocument(task: TaskRecord, container: ContainerRecord, state: EcsState) {
  const definition = state.taskDefinitions[task.taskDefinitionArn]?.definition.containerDefinitions.find(
    ({ name }) => name === container.name,
  );
  return {
    containerArn: container.containerArn,
    taskArn: task.taskArn,
    name: container.name,
    image: definition?.image,
    runtimeId: task.network.status === 'PRECREATED' ? undefined : container.runtimeId,
    lastStatus: container.lastStatus,
    exitCode: container.exitCode,
    reason: container.reason,
    networkBindings: [],
    networkInterfaces:
      task.network.status === 'PRECREATED'
        ? []
        : [{ attachmentId: task.network.attachmentId, privateIpv4Address: task.network.ip }],
    healthStatus: 'UNKNOWN',
    cpu: String(definition?.cpu ?? 0),
    memory: definition?.memory === undefined ? undefined : String(definition.memory),
    memoryReservation:
      definition?.memoryReservation === undefined ? undefined : String(definition.memoryReservation),
  };
}

function common(task: TaskRecord, state: EcsState, region: string, eniType: string, time: Time) {
  const at = (ms: number | undefined) => (ms === undefined ? undefined : time(ms));
  const volume = task.volume && state.volumes[task.volume.volumeId];
  return {
    attachments: attachments(task, volume, region, eniType),
    attributes: [{ name: 'ecs.cpu-architecture', value: process.arch === 'arm64' ? 'arm64' : 'x86_64' }],
    availabilityZone: task.network.zone,
    capacityProviderName: task.capacityProviderName,
    clusterArn: task.clusterArn,
    connectivity: task.connectivityAt === undefined ? undefined : 'CONNECTED',
    connectivityAt: at(task.connectivityAt),
    containers: task.containers.map((container) => containerDocument(task, container, state)),
    cpu: task.cpu,
    createdAt: time(task.createdAt),
    desiredStatus: task.desiredStatus,
    enableExecuteCommand: task.enableExecuteCommand,
    ephemeralStorage: { sizeInGiB: task.ephemeralGiB },
    executionStoppedAt: at(task.executionStoppedAt),
    group: task.group,
    lastStatus: task.lastStatus,
    launchType: task.launchType,
    memory: task.memory,
    overrides: { containerOverrides: [], inferenceAcceleratorOverrides: [], ...task.overrides },
    platformVersion: '1.4.0',
    pullStartedAt: at(task.pullStartedAt),
    pullStoppedAt: at(task.pullStoppedAt),
    startedAt: at(task.startedAt),
    startedBy: task.startedBy,
    stopCode: task.stopCode,
    stoppedAt: at(task.stoppedAt),
    stoppedReason: task.stoppedReason,
    stoppingAt: at(task.stoppingAt),
    taskArn: task.taskArn,
    taskDefinitionArn: task.taskDefinitionArn,
    version: task.version,
  };
}

/** A `Task` of the API. */
export function taskDocument(task: TaskRecord, state: EcsState, region: string, withTags: boolean) {
  return {
    ...common(task, state, region, 'ElasticNetworkInterface', epochSeconds),
    healthStatus: 'UNKNOWN',
    platformFamily: 'Linux',
    fargateEphemeralStorage: { sizeInGiB: task.ephemeralGiB },
    tags: withTags ? task.tags : [],
  };
}

/** "ECS Task State Change". Interfaces are of type `eni` here, `ElasticNetworkInterface` in the API. */
export function taskEvent(task: TaskRecord, state: EcsState, region: string): BusEvent {
  return {
    source: 'aws.ecs',
    'detail-type': 'ECS Task State Change',
    resources: [task.taskArn],
    // A round trip leaves out what is undefined: events hold only what they say.
    detail: JSON.parse(
      JSON.stringify({ ...common(task, state, region, 'eni', iso), updatedAt: iso(task.updatedAt) }),
    ),
  };
}
