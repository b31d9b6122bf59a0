import type { Authorization, CloudContext } from '../../aws/service.ts';
import type { EcsState } from './model.ts';
import { arnOf, clusterArnOf, findTaskDefinition, taskArnOf } from './registry.ts';
import type { RunTaskInput, TagList } from './requests.ts';

/** What IAM has to allow, after the service authorisation reference of ECS. */

function requestTags(tags: TagList): Record<string, string | string[]> {
  if (tags.length === 0) return {};
  return {
    'aws:TagKeys': tags.map(({ key }) => key),
    ...Object.fromEntries(tags.map(({ key, value }) => [`aws:RequestTag/${key}`, value])),
  };
}

function resourceTags(state: EcsState, taskArn: string): Record<string, string> {
  return Object.fromEntries(
    (state.tasks[taskArn]?.tags ?? []).flatMap(({ key, value }) => [
      [`aws:ResourceTag/${key}`, value],
      [`ecs:ResourceTag/${key}`, value],
    ]),
  );
}

function passRole(resource: string | undefined, service: string): Authorization[] {
  if (!resource) return [];
  return [{ action: 'iam:PassRole', resource, context: { 'iam:PassedToService': service } }];
}

export function authorizeRunTask(
  input: RunTaskInput,
  state: EcsState,
  context: CloudContext,
): Authorization[] {
  const cluster = clusterArnOf(context, input.cluster);
  const { taskDefinitionArn, definition } = findTaskDefinition(state, input.taskDefinition);
  const { overrides } = input;
  const common = { 'ecs:cluster': cluster, ...requestTags(input.tags) };
  return [
    {
      action: 'ecs:RunTask',
      resource: taskDefinitionArn,
      context: {
        ...common,
        'ecs:enable-execute-command': String(input.enableExecuteCommand),
        'ecs:enable-ebs-volumes': String(input.volumeConfigurations.length > 0),
      },
    },
    ...passRole(overrides?.taskRoleArn ?? definition.taskRoleArn, 'ecs-tasks.amazonaws.com'),
    ...passRole(overrides?.executionRoleArn ?? definition.executionRoleArn, 'ecs-tasks.amazonaws.com'),
    ...input.volumeConfigurations.flatMap(({ managedEBSVolume }) =>
      passRole(managedEBSVolume.roleArn, 'ecs.amazonaws.com'),
    ),
    // The task has no id yet when IAM is asked, so the resource is the pattern of all tasks of the cluster.
    ...(input.tags.length > 0
      ? [
          {
            action: 'ecs:TagResource',
            resource: arnOf(context, `task/${cluster.split('/')[1]}/*`),
            context: { ...common, 'ecs:CreateAction': 'RunTask' },
          },
        ]
      : []),
  ];
}

export function authorizeTasks(
  action: string,
  cluster: string,
  tasks: readonly string[],
  state: EcsState,
  context: CloudContext,
): Authorization[] {
  return tasks
    .map((task) => taskArnOf(context, cluster, task))
    .map((resource) => ({
      action,
      resource,
      context: { 'ecs:cluster': clusterArnOf(context, cluster), ...resourceTags(state, resource) },
    }));
}

/** Without a containerInstance filter the resource is `*`; only the condition key ecs:cluster narrows it. */
export function authorizeListTasks(cluster: string, context: CloudContext): Authorization[] {
  return [
    { action: 'ecs:ListTasks', resource: '*', context: { 'ecs:cluster': clusterArnOf(context, cluster) } },
  ];
}

export function authorizeTagResource(resource: string, tags: TagList, state: EcsState): Authorization[] {
  return [
    {
      action: 'ecs:TagResource',
      resource,
      context: { ...requestTags(tags), ...resourceTags(state, resource) },
    },
  ];
}
