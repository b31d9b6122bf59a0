import type { RunTaskInput, TagList } from './requests.ts';

/** What the ECS of the local cloud keeps. All times are epoch milliseconds; views turn them into AWS's formats. */

export interface EcsState {
  readonly format: 1;
  readonly clusters: Record<string, ClusterRecord>;
  /** By ARN. Revisions stay for ever: a running task needs its own. */
  readonly taskDefinitions: Record<string, TaskDefinitionRecord>;
  readonly tasks: Record<string, TaskRecord>;
  /** By `<clusterArn> <clientToken>`. */
  readonly clientTokens: Record<string, { requestHash: string; taskArns: string[]; at: number }>;
  readonly volumes: Record<string, VolumeRecord>;
  /** EBS snapshots of volumes, by id. */
  readonly snapshots: Record<string, SnapshotRecord>;
  /** Last host number given out, per subnet: addresses are handed out round robin so that none comes back soon. */
  readonly lastAddress: Record<string, number>;
}

export interface ClusterRecord {
  readonly clusterArn: string;
  readonly clusterName: string;
  readonly tags: TagList;
  readonly capacityProviders: string[];
  readonly defaultCapacityProviderStrategy: { capacityProvider: string; weight?: number; base?: number }[];
}

export interface TaskDefinitionRecord {
  readonly taskDefinitionArn: string;
  readonly family: string;
  readonly revision: number;
  readonly contentHash: string;
  status: 'ACTIVE' | 'INACTIVE';
  readonly registeredAt: number;
  readonly tags: TagList;
  readonly definition: TaskDefinition;
}

export interface TaskDefinition {
  readonly taskRoleArn?: string | undefined;
  readonly executionRoleArn?: string | undefined;
  readonly cpu: string;
  readonly memory: string;
  readonly ephemeralStorage?: { sizeInGiB: number } | undefined;
  readonly volumes: readonly { name: string; configuredAtLaunch?: boolean | undefined }[];
  readonly containerDefinitions: readonly ContainerDefinition[];
}

export interface ContainerDefinition {
  readonly name: string;
  readonly image: string;
  readonly essential: boolean;
  readonly command?: readonly string[] | undefined;
  readonly cpu?: number | undefined;
  readonly memory?: number | undefined;
  readonly memoryReservation?: number | undefined;
  readonly environment: readonly { name: string; value: string }[];
  readonly mountPoints: readonly { sourceVolume: string; containerPath: string }[];
  /** Of the awslogs driver. Only the permission is checked: what containers print goes to files. */
  readonly logGroup?: string | undefined;
  /** Seconds; ECS's default is 30, Fargate's maximum 120. */
  readonly stopTimeout: number;
  readonly user?: string | undefined;
  readonly readonlyRootFilesystem?: boolean | undefined;
  readonly initProcessEnabled?: boolean | undefined;
  readonly dropCapabilities?: readonly string[] | undefined;
  readonly restartPolicy?:
    | { enabled: boolean; ignoredExitCodes: readonly number[]; restartAttemptPeriod: number }
    | undefined;
}

/** A process of the host, told apart from a later one with the same pid by its start time and boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat; absent where there is no /proc. */
  readonly startTicks?: string | undefined;
  readonly bootId?: string | undefined;
  /** Of a Docker engine. */
  readonly containerId?: string | undefined;
}

export interface ContainerRecord {
  readonly name: string;
  readonly containerArn: string;
  readonly runtimeId: string;
  lastStatus: 'PENDING' | 'RUNNING' | 'STOPPED';
  exitCode?: number;
  reason?: string;
  restartCount: number;
  /** Of the latest (re)start. */
  startedAt?: number;
  process?: ProcessIdentity;
}

export interface VolumeRecord {
  readonly volumeId: string;
  /** Name in the task definition. */
  readonly name: string;
  readonly taskArn: string;
  readonly zone: string;
  readonly sizeInGiB: number;
  readonly volumeType: string;
  readonly filesystemType: string;
  readonly encrypted: boolean;
  readonly roleArn: string;
  deleteOnTermination: boolean;
  readonly tags: TagList;
  readonly createdAt: number;
  readonly directory: string;
  /** Its content begins as that of this snapshot. */
  readonly snapshotId?: string | undefined;
  /** `available`: its task has stopped and the volume was to be kept. `deleted`: kept for the task's document only. */
  state: 'in-use' | 'available' | 'deleted';
}

export interface SnapshotRecord {
  readonly snapshotId: string;
  readonly volumeId: string;
  readonly sizeInGiB: number;
  readonly description: string;
  readonly tags: TagList;
  readonly startedAt: number;
  readonly directory: string;
  state: 'pending' | 'completed' | 'error';
}

export type TaskStatus =
  | 'PROVISIONING'
  | 'PENDING'
  | 'RUNNING'
  | 'DEACTIVATING'
  | 'STOPPING'
  | 'DEPROVISIONING'
  | 'STOPPED';

export interface TaskRecord {
  readonly taskId: string;
  readonly taskArn: string;
  readonly clusterArn: string;
  readonly taskDefinitionArn: string;
  readonly group: string;
  readonly startedBy?: string | undefined;
  readonly launchType?: string | undefined;
  readonly capacityProviderName?: string | undefined;
  readonly enableExecuteCommand: boolean;
  readonly cpu: string;
  readonly memory: string;
  readonly ephemeralGiB: number;
  readonly overrides: NonNullable<RunTaskInput['overrides']>;
  readonly createdAt: number;
  readonly network: {
    readonly subnetId: string;
    readonly subnetCidr: string;
    readonly zone: string;
    readonly ip: string;
    readonly mac: string;
    readonly networkInterfaceId: string;
    readonly attachmentId: string;
    status: 'PRECREATED' | 'ATTACHED' | 'DELETED';
  };
  readonly volume?: { readonly volumeId: string; readonly attachmentId: string } | undefined;
  readonly containers: ContainerRecord[];
  /** Unguessable ends of the metadata and credentials URLs, and the token that goes with the latter. */
  readonly secrets: { readonly metadata: string; readonly credentials: string; readonly token: string };
  tags: TagList;
  lastStatus: TaskStatus;
  desiredStatus: 'RUNNING' | 'STOPPED';
  version: number;
  updatedAt: number;
  pullStartedAt?: number;
  pullStoppedAt?: number;
  startedAt?: number;
  connectivityAt?: number;
  stoppingAt?: number;
  executionStoppedAt?: number;
  stoppedAt?: number;
  stopCode?: string;
  stoppedReason?: string;
}
