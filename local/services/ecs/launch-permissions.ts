import type { CloudContext } from '../../aws/service.ts';
import { taskRoleArn } from './environment.ts';
import type { EcsState, TaskRecord } from './model.ts';
import { ContainerStartError } from './runtime.ts';

const ecrImage = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com\/([^:@]+)/;

/**
 * What ECS itself does with a task's roles before the containers start: pull from ECR and open the log stream with the
 * execution role, make the volume with the infrastructure role, take on the task role. A permission or a trust that is
 * missing stops the launch here as it would on AWS.
 *
 * @throws ContainerStartError
 */
export function checkLaunchPermissions(task: TaskRecord, state: EcsState, context: CloudContext): void {
  const { definition } = state.taskDefinitions[task.taskDefinitionArn]!;
  const account = `${context.region}:${context.accountId}`;
  const execution = task.overrides.executionRoleArn ?? definition.executionRoleArn;
  const volume = task.volume && state.volumes[task.volume.volumeId];
  const attempt = (code: string, work: () => void) => {
    try {
      work();
    } catch (error) {
      throw new ContainerStartError(code, (error as Error).message);
    }
  };
  const may = (code: string, role: string | undefined, action: string, resource: string) =>
    attempt(code, () => {
      if (!role) throw new Error(`${action} needs an execution role, and the task has none.`);
      context.authorize(role, { action, resource });
    });

  for (const { image, logGroup } of definition.containerDefinitions) {
    const [, owner, region, repository] = ecrImage.exec(image) ?? [];
    if (repository) {
      const arn = `arn:aws:ecr:${region}:${owner}:repository/${repository}`;
      may('CannotPullContainerError', execution, 'ecr:GetAuthorizationToken', '*');
      may('CannotPullContainerError', execution, 'ecr:BatchGetImage', arn);
    }
    if (logGroup)
      may(
        'ResourceInitializationError',
        execution,
        'logs:CreateLogStream',
        `arn:aws:logs:${account}:log-group:${logGroup}:log-stream:${task.taskId}`,
      );
  }
  if (volume) {
    const { roleArn, volumeId, snapshotId } = volume;
    const arn = `arn:aws:ec2:${account}:volume/${volumeId}`;
    attempt('ResourceInitializationError', () => context.assumeRole(roleArn, 'ecs', 'ecs.amazonaws.com'));
    for (const action of ['ec2:CreateVolume', 'ec2:AttachVolume'])
      may('ResourceInitializationError', roleArn, action, arn);
    if (snapshotId)
      may(
        'ResourceInitializationError',
        roleArn,
        'ec2:CreateVolume',
        `arn:aws:ec2:${context.region}::snapshot/${snapshotId}`,
      );
    if (volume.tags.length > 0) may('ResourceInitializationError', roleArn, 'ec2:CreateTags', arn);
  }
  const role = taskRoleArn(task, state);
  if (role) attempt('ResourceInitializationError', () => context.assumeRole(role, task.taskId));
}
