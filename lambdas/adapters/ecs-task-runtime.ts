import {
  ConflictException,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RunTaskCommand,
  type RunTaskCommandInput,
  StopTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs';
import { ControlPlaneError, TransientError } from '../core/errors.ts';
import { sizeClasses } from '../core/model/spec.ts';
import type { Cell, LaunchRequest, TaskRuntime, TaskView } from '../core/ports.ts';
import { callAws, clientDefaults, errorName } from './aws-errors.ts';
import { cellTag, memberTag, tenantTag } from './tags.ts';

/** Name of the volume in the `ebs` task definition. */
export const dataVolumeName = 'etcd-data';

const describeBatch = 100;
const passing = /capacity is unavailable|limit on the number of|rate limit|try again/i;

/**
 * Members as standalone Fargate tasks.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | launch | ecs:RunTask | both task definitions, condition ecs:cluster |
 * | | ecs:TagResource | tasks of the cluster, condition ecs:CreateAction = RunTask |
 * | | iam:PassRole | task role, execution role (to ecs-tasks.amazonaws.com), infrastructure role (to ecs.amazonaws.com) |
 * | describe | ecs:DescribeTasks | tasks of the cluster |
 * | list | ecs:ListTasks, ecs:DescribeTasks | `*` with condition ecs:cluster; tasks of the cluster |
 * | stop | ecs:StopTask | tasks of the cluster |
 */
export class EcsTaskRuntime implements TaskRuntime {
  readonly #client: ECSClient;

  constructor(options: { client?: ECSClient } = {}) {
    this.#client = options.client ?? new ECSClient(clientDefaults);
  }

  async launch(request: LaunchRequest): Promise<{ taskArn: string }> {
    const command = new RunTaskCommand(runTaskInput(request));
    const answer = await callAws('ecs:RunTask', async () => {
      try {
        return await this.#client.send(command);
      } catch (error) {
        // Same member, other parameters (say, another image since then): the task that exists is the member's task.
        if (error instanceof ConflictException && error.resourceIds?.[0] !== undefined) {
          return { tasks: [{ taskArn: error.resourceIds[0] }], failures: [] };
        }
        if (error instanceof Error && passing.test(error.message)) {
          throw new TransientError(`ecs:RunTask in ${request.zone}: ${error.message}`, { cause: error });
        }
        throw error;
      }
    });
    const taskArn = answer.tasks?.[0]?.taskArn;
    if (taskArn !== undefined) return { taskArn };
    const reasons = answer.failures?.map(({ reason, detail }) => [reason, detail].filter(Boolean).join(', '));
    throw new TransientError(
      `ecs:RunTask started no task in ${request.zone} (${reasons?.join('; ') || 'no reason given'}). Try again.`,
    );
  }

  async describe(cell: Cell, taskArns: readonly string[]): Promise<TaskView[]> {
    const views: TaskView[] = [];
    for (let from = 0; from < taskArns.length; from += describeBatch) {
      const command = new DescribeTasksCommand({
        cluster: cell.clusterArn,
        tasks: taskArns.slice(from, from + describeBatch),
        include: ['TAGS'],
      });
      const answer = await callAws('ecs:DescribeTasks', () => this.#client.send(command));
      views.push(...(answer.tasks ?? []).map(taskView));
    }
    return views;
  }

  /** A task that is on its way to STOPPED is listed by ECS among the STOPPED ones: it still runs, so it counts. */
  async list(cell: Cell, tenantId: string): Promise<string[]> {
    const running = await this.#list(cell, tenantId, 'RUNNING');
    const ending = await this.describe(cell, await this.#list(cell, tenantId, 'STOPPED'));
    const alive = ending.filter((task) => task.lastStatus !== 'STOPPED').map((task) => task.taskArn);
    return [...new Set([...running, ...alive])];
  }

  async stop(cell: Cell, taskArn: string, reason: string): Promise<void> {
    const command = new StopTaskCommand({
      cluster: cell.clusterArn,
      task: taskArn,
      reason: reason.slice(0, 255),
    });
    await callAws('ecs:StopTask', async () => {
      try {
        await this.#client.send(command);
      } catch (error) {
        const unknown = errorName(error) === 'InvalidParameterException' && /not found/i.test(String(error));
        if (!unknown) throw error;
      }
    });
  }

  async #list(cell: Cell, tenantId: string, desiredStatus: 'RUNNING' | 'STOPPED'): Promise<string[]> {
    const found: string[] = [];
    let nextToken: string | undefined;
    do {
      const command = new ListTasksCommand({
        cluster: cell.clusterArn,
        startedBy: startedBy(tenantId),
        desiredStatus,
        nextToken,
      });
      const answer = await callAws('ecs:ListTasks', () => this.#client.send(command));
      found.push(...(answer.taskArns ?? []));
      nextToken = answer.nextToken;
    } while (nextToken !== undefined);
    return found;
  }
}

const startedBy = (tenantId: string): string => `etcd-nanny/${tenantId}`;

function runTaskInput(request: LaunchRequest): RunTaskCommandInput {
  const { cell, tenantId, memberName } = request;
  const subnet = cell.subnets.find(({ zone }) => zone === request.zone);
  if (subnet === undefined) {
    throw new ControlPlaneError('no-such-zone', `Cell ${cell.id} has no subnet in zone ${request.zone}.`);
  }
  const { cpu, memory } = sizeClasses[request.size];
  const ephemeral = request.volume === 'ephemeral';
  return {
    cluster: cell.clusterArn,
    taskDefinition: cell.taskDefinitions[request.volume],
    launchType: 'FARGATE',
    count: 1,
    clientToken: `${tenantId}-${memberName}`,
    startedBy: startedBy(tenantId),
    propagateTags: 'NONE',
    tags: tagsOf(request),
    networkConfiguration: {
      awsvpcConfiguration: {
        subnets: [subnet.subnetId],
        securityGroups: [cell.securityGroupId],
        assignPublicIp: 'DISABLED',
      },
    },
    overrides: {
      cpu: String(cpu),
      memory: String(memory),
      ...(ephemeral ? { ephemeralStorage: { sizeInGiB: request.storageGiB } } : {}),
      containerOverrides: [
        {
          name: cell.containerName,
          cpu,
          memory,
          environment: [
            { name: 'NANNY_TENANT', value: tenantId },
            { name: 'NANNY_MEMBER', value: memberName },
            ...(request.work ? [{ name: 'NANNY_WORK', value: '1' }] : []),
          ],
        },
      ],
    },
    ...(ephemeral ? {} : { volumeConfigurations: [ebsVolume(request)] }),
  };
}

const tagsOf = ({ cell, tenantId, memberName }: LaunchRequest) => [
  { key: tenantTag, value: tenantId },
  { key: memberTag, value: memberName },
  { key: cellTag, value: cell.id },
];

function ebsVolume(request: LaunchRequest) {
  const { cell, storageGiB, keepDisk = false, work } = request;
  return {
    name: dataVolumeName,
    managedEBSVolume: {
      roleArn: cell.infrastructureRoleArn,
      volumeType: 'gp3',
      sizeInGiB: storageGiB,
      filesystemType: 'xfs' as const,
      encrypted: true,
      ...(work?.snapshotId !== undefined && { snapshotId: work.snapshotId }),
      // By these a kept volume is found and told from everybody else's (ec2-volumes.ts).
      tagSpecifications: [{ resourceType: 'volume' as const, tags: tagsOf(request) }],
      terminationPolicy: { deleteOnTermination: !keepDisk },
    },
  };
}

function taskView(task: Task): TaskView {
  const eni = task.attachments?.find(({ type }) => type === 'ElasticNetworkInterface');
  const address = eni?.details?.find(({ name }) => name === 'privateIPv4Address')?.value;
  return {
    taskArn: task.taskArn ?? '',
    lastStatus: task.lastStatus ?? 'PROVISIONING',
    desiredStatus: task.desiredStatus ?? 'RUNNING',
    privateIp: address ?? task.containers?.[0]?.networkInterfaces?.[0]?.privateIpv4Address,
    stopCode: task.stopCode,
    stoppedReason: task.stoppedReason,
    memberName: task.tags?.find(({ key }) => key === memberTag)?.value,
    tenantId: task.tags?.find(({ key }) => key === tenantTag)?.value,
  };
}
