import { AwsError, type CloudContext } from '../../aws/service.ts';
import type { ClusterRecord, EcsState, TaskDefinitionRecord } from './model.ts';

/** Names and ARNs: every request may use either. */

export function arnOf(context: CloudContext, resource: string): string {
  return `arn:aws:ecs:${context.region}:${context.accountId}:${resource}`;
}

export function clusterArnOf(context: CloudContext, nameOrArn: string): string {
  return nameOrArn.startsWith('arn:') ? nameOrArn : arnOf(context, `cluster/${nameOrArn}`);
}

export function taskArnOf(context: CloudContext, cluster: string, idOrArn: string): string {
  if (idOrArn.startsWith('arn:')) return idOrArn;
  const name = clusterArnOf(context, cluster).split('/')[1];
  return arnOf(context, `task/${name}/${idOrArn}`);
}

/** @throws AwsError ClusterNotFoundException */
export function findCluster(state: EcsState, context: CloudContext, nameOrArn: string): ClusterRecord {
  const cluster = state.clusters[clusterArnOf(context, nameOrArn)];
  if (!cluster) throw new AwsError('ClusterNotFoundException', 'Cluster not found.');
  return cluster;
}

/**
 * By ARN, `family:revision` or `family` (its latest active revision).
 * @throws AwsError ClientException
 */
export function findTaskDefinition(state: EcsState, nameOrArn: string): TaskDefinitionRecord {
  const all = Object.values(state.taskDefinitions);
  const name = nameOrArn.startsWith('arn:') ? nameOrArn.split('/').slice(1).join('/') : nameOrArn;
  const found = name.includes(':')
    ? all.find(({ family, revision }) => `${family}:${revision}` === name)
    : latestRevision(state, name);
  if (!found || (nameOrArn.startsWith('arn:') && !found.taskDefinitionArn.startsWith(nameOrArn)))
    throw new AwsError('ClientException', 'Unable to describe task definition: TaskDefinition not found.');
  return found;
}

export function latestRevision(state: EcsState, family: string): TaskDefinitionRecord | undefined {
  return Object.values(state.taskDefinitions)
    .filter((record) => record.family === family && record.status === 'ACTIVE')
    .sort((a, b) => b.revision - a.revision)[0];
}

/** API shape of a task definition. */
export function taskDefinitionDocument(record: TaskDefinitionRecord) {
  const { taskDefinitionArn, family, revision, status, registeredAt, definition } = record;
  return {
    ...definition,
    containerDefinitions: definition.containerDefinitions.map(({ logGroup, ...container }) => ({
      portMappings: [],
      ...container,
      ...(logGroup && {
        logConfiguration: { logDriver: 'awslogs', options: { 'awslogs-group': logGroup } },
      }),
    })),
    taskDefinitionArn,
    family,
    revision,
    status,
    registeredAt: registeredAt / 1000,
    networkMode: 'awsvpc',
    requiresCompatibilities: ['FARGATE'],
    compatibilities: ['EC2', 'FARGATE'],
    placementConstraints: [],
  };
}
