import * as z from 'zod';
import { physicalName } from '../../aws/names.ts';
import type { CloudContext, ResourceProvider, TemplateResource } from '../../aws/service.ts';
import { fargateSize } from './fargate.ts';
import type { TaskDefinition } from './model.ts';
import { arnOf, clusterArnOf, findCluster, latestRevision } from './registry.ts';
import { contentHash, type EcsStore } from './store.ts';

/** CloudFormation's numbers and booleans may be text. */
const number = z.coerce.number();
const boolean = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
const tags = z
  .array(z.object({ Key: z.string(), Value: z.coerce.string() }))
  .default([])
  .transform((list) => list.map(({ Key, Value }) => ({ key: Key, value: Value })));

const strategy = z
  .array(z.object({ CapacityProvider: z.string(), Weight: number.optional(), Base: number.optional() }))
  .default([])
  .transform((list) =>
    list.map((item) => ({
      capacityProvider: item.CapacityProvider,
      ...(item.Weight !== undefined && { weight: item.Weight }),
      ...(item.Base !== undefined && { base: item.Base }),
    })),
  );

const clusterSchema = z.object({
  ClusterName: z.string().optional(),
  CapacityProviders: z.array(z.string()).default([]),
  DefaultCapacityProviderStrategy: strategy,
  Tags: tags,
});

/** Would change what a container does, and is not built: better to fail at start than to run something else. */
const unsupported = [
  'EntryPoint',
  'EnvironmentFiles',
  'Secrets',
  'VolumesFrom',
  'FirelensConfiguration',
  'DependsOn',
];

const containerSchema = z
  .object({
    Name: z.string(),
    Image: z.string(),
    Essential: boolean.default(true),
    Command: z.array(z.string()).optional(),
    Cpu: number.optional(),
    Memory: number.optional(),
    MemoryReservation: number.optional(),
    Environment: z.array(z.object({ Name: z.string(), Value: z.coerce.string() })).default([]),
    MountPoints: z.array(z.object({ SourceVolume: z.string(), ContainerPath: z.string() })).default([]),
    LogConfiguration: z
      .object({
        LogDriver: z.literal('awslogs'),
        Options: z.object({ 'awslogs-group': z.string() }),
      })
      .optional(),
    User: z.string().optional(),
    ReadonlyRootFilesystem: boolean.optional(),
    LinuxParameters: z
      .object({
        InitProcessEnabled: boolean.optional(),
        Capabilities: z.object({ Drop: z.array(z.string()).optional() }).optional(),
      })
      .optional(),
    StopTimeout: number.pipe(z.int().min(0).max(120)).default(30),
    RestartPolicy: z
      .object({
        Enabled: boolean,
        IgnoredExitCodes: z.array(number).max(50).default([]),
        RestartAttemptPeriod: number.pipe(z.int().min(60).max(1800)).default(300),
      })
      .optional(),
  })
  .catchall(z.unknown())
  .superRefine((container, check) => {
    for (const property of unsupported.filter((name) => name in container))
      check.addIssue({ code: 'custom', path: [property], message: 'the local cloud does not support it' });
  });

const taskDefinitionSchema = z.object({
  Family: z.string().optional(),
  NetworkMode: z.literal('awsvpc'),
  RequiresCompatibilities: z
    .array(z.string())
    .refine((list) => list.includes('FARGATE'), 'must include FARGATE'),
  Cpu: z.coerce.string(),
  Memory: z.coerce.string(),
  TaskRoleArn: z.string().optional(),
  ExecutionRoleArn: z.string().optional(),
  EphemeralStorage: z.object({ SizeInGiB: number }).optional(),
  ContainerDefinitions: z.array(containerSchema).min(1),
  Volumes: z.array(z.object({ Name: z.string(), ConfiguredAtLaunch: boolean.optional() })).default([]),
  Tags: tags,
});

function parseProperties<S extends z.ZodType>(schema: S, resource: TemplateResource): z.infer<S> {
  const result = schema.safeParse(resource.properties ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new Error(`${resource.stack}/${resource.logicalId} (${resource.type}): ${problems}`);
}

export function createProviders(context: CloudContext, store: EcsStore, now: () => Date): ResourceProvider[] {
  const { state } = store;
  return [
    {
      types: ['AWS::ECS::Cluster'],
      async provision(resource) {
        const properties = parseProperties(clusterSchema, resource);
        const clusterName = properties.ClusterName ?? physicalName(resource, 255);
        const clusterArn = arnOf(context, `cluster/${clusterName}`);
        state.clusters[clusterArn] = {
          clusterArn,
          clusterName,
          tags: properties.Tags,
          capacityProviders: properties.CapacityProviders,
          defaultCapacityProviderStrategy: properties.DefaultCapacityProviderStrategy,
        };
        store.save();
        return { ref: clusterName, attributes: { Arn: clusterArn } };
      },
    },
    {
      types: ['AWS::ECS::ClusterCapacityProviderAssociations'],
      async provision(resource) {
        const properties = parseProperties(clusterSchema.extend({ Cluster: z.string() }), resource);
        const cluster = findCluster(state, context, properties.Cluster);
        state.clusters[clusterArnOf(context, properties.Cluster)] = {
          ...cluster,
          capacityProviders: properties.CapacityProviders,
          defaultCapacityProviderStrategy: properties.DefaultCapacityProviderStrategy,
        };
        store.save();
        return { ref: cluster.clusterName };
      },
    },
    {
      types: ['AWS::ECS::TaskDefinition'],
      async provision(resource) {
        const properties = parseProperties(taskDefinitionSchema, resource);
        const family = properties.Family ?? physicalName(resource, 255);
        const taskDefinitionArn = register(family, toDefinition(properties), properties.Tags);
        return { ref: taskDefinitionArn, attributes: { TaskDefinitionArn: taskDefinitionArn } };
      },
    },
  ];

  /** The same content keeps its revision; other content makes a new one and retires the old, as a stack update does. */
  function register(family: string, definition: TaskDefinition, tagList: z.infer<typeof tags>): string {
    const hash = contentHash({ definition, tagList });
    const latest = latestRevision(state, family);
    if (latest?.contentHash === hash) return latest.taskDefinitionArn;
    if (latest) latest.status = 'INACTIVE';
    const revisions = Object.values(state.taskDefinitions).filter((record) => record.family === family);
    const revision = 1 + Math.max(0, ...revisions.map((record) => record.revision));
    const taskDefinitionArn = arnOf(context, `task-definition/${family}:${revision}`);
    state.taskDefinitions[taskDefinitionArn] = {
      taskDefinitionArn,
      family,
      revision,
      contentHash: hash,
      status: 'ACTIVE',
      registeredAt: now().getTime(),
      tags: tagList,
      definition,
    };
    store.save();
    return taskDefinitionArn;
  }
}

function toDefinition(properties: z.infer<typeof taskDefinitionSchema>): TaskDefinition {
  return {
    taskRoleArn: properties.TaskRoleArn,
    executionRoleArn: properties.ExecutionRoleArn,
    ...fargateSize(properties.Cpu, properties.Memory),
    ephemeralStorage: properties.EphemeralStorage && { sizeInGiB: properties.EphemeralStorage.SizeInGiB },
    volumes: properties.Volumes.map((volume) => ({
      name: volume.Name,
      configuredAtLaunch: volume.ConfiguredAtLaunch,
    })),
    containerDefinitions: properties.ContainerDefinitions.map((container) => ({
      name: container.Name,
      image: container.Image,
      essential: container.Essential,
      command: container.Command,
      cpu: container.Cpu,
      memory: container.Memory,
      memoryReservation: container.MemoryReservation,
      environment: container.Environment.map(({ Name, Value }) => ({ name: Name, value: Value })),
      mountPoints: container.MountPoints.map((mount) => ({
        sourceVolume: mount.SourceVolume,
        containerPath: mount.ContainerPath,
      })),
      logGroup: container.LogConfiguration?.Options['awslogs-group'],
      stopTimeout: container.StopTimeout,
      user: container.User,
      readonlyRootFilesystem: container.ReadonlyRootFilesystem,
      initProcessEnabled: container.LinuxParameters?.InitProcessEnabled,
      dropCapabilities: container.LinuxParameters?.Capabilities?.Drop,
      restartPolicy: container.RestartPolicy && {
        enabled: container.RestartPolicy.Enabled,
        ignoredExitCodes: container.RestartPolicy.IgnoredExitCodes,
        restartAttemptPeriod: container.RestartPolicy.RestartAttemptPeriod,
      },
    })),
  };
}
