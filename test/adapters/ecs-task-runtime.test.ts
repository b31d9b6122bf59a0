import { ECSClient } from '@aws-sdk/client-ecs';
import { afterEach, describe, expect, it } from 'vitest';
import { EcsTaskRuntime } from '../../lambdas/adapters/ecs-task-runtime.ts';
import { ControlPlaneError, TransientError } from '../../lambdas/core/errors.ts';
import type { LaunchRequest } from '../../lambdas/core/ports.ts';
import { AwsError, type JsonService } from '../../local/aws/service.ts';
import { testCell } from '../contracts/cell.ts';
import { startCloud, type TestCloud } from '../local/services/cloud.ts';

type Answers = Record<string, (input: Record<string, unknown>) => unknown>;

const cell = testCell();
const launch: LaunchRequest = {
  cell,
  tenantId: 'acme',
  memberName: 'mabcdefgh',
  zone: 'us-east-1b',
  size: 'small',
  storageGiB: 30,
  volume: 'ebs',
};

describe('EcsTaskRuntime', () => {
  let cloud: TestCloud | undefined;
  afterEach(async () => {
    await cloud?.stop();
    cloud = undefined;
  });

  /** An ECS that answers as told, and what it was asked. */
  async function ecs(answers: Answers) {
    const asked: [string, Record<string, unknown>][] = [];
    const service: JsonService = {
      kind: 'json',
      name: 'ecs',
      targetPrefix: 'AmazonEC2ContainerServiceV20141113',
      jsonVersion: '1.1',
      operations: Object.fromEntries(
        Object.entries(answers).map(([operation, answer]) => [
          operation,
          {
            authorize: () => [],
            run: async (input: Record<string, unknown>) => {
              asked.push([operation, input]);
              return answer(input);
            },
          },
        ]),
      ),
    };
    cloud = await startCloud(() => ({ services: [service], providers: [] }));
    return { runtime: new EcsTaskRuntime({ client: new ECSClient(cloud.client) }), asked };
  }
  const fails = (code: string, message: string, details = {}) => ({
    RunTask: () => {
      throw new AwsError(code, message, 400, details);
    },
  });

  it('tells a worker so, and begins its disk as the copy that it is given', async () => {
    const { runtime, asked } = await ecs({
      RunTask: () => ({ tasks: [{ taskArn: 'task/1' }], failures: [] }),
    });
    await runtime.launch({ ...launch, work: { snapshotId: 'snap-1' } });
    expect(asked[0]![1]).toMatchObject({
      overrides: {
        containerOverrides: [{ environment: expect.arrayContaining([{ name: 'NANNY_WORK', value: '1' }]) }],
      },
      volumeConfigurations: [{ managedEBSVolume: { snapshotId: 'snap-1' } }],
    });
  });

  it('asks for one Fargate task in the zone, sized and tagged for its member', async () => {
    const { runtime, asked } = await ecs({
      RunTask: () => ({ tasks: [{ taskArn: 'task/1' }], failures: [] }),
    });
    expect(await runtime.launch(launch)).toEqual({ taskArn: 'task/1' });
    expect(asked[0]![1]).toMatchObject({
      cluster: cell.clusterArn,
      taskDefinition: 'member-ebs:1',
      launchType: 'FARGATE',
      count: 1,
      clientToken: 'acme-mabcdefgh',
      startedBy: 'etcd-nanny/acme',
      tags: [
        { key: 'etcd-nanny:tenant', value: 'acme' },
        { key: 'etcd-nanny:member', value: 'mabcdefgh' },
        { key: 'etcd-nanny:cell', value: 'cell-1' },
      ],
      networkConfiguration: {
        awsvpcConfiguration: {
          subnets: ['subnet-b'],
          securityGroups: ['sg-members'],
          assignPublicIp: 'DISABLED',
        },
      },
      overrides: {
        cpu: '512',
        memory: '1024',
        containerOverrides: [
          {
            name: 'nanny',
            environment: [
              { name: 'NANNY_TENANT', value: 'acme' },
              { name: 'NANNY_MEMBER', value: 'mabcdefgh' },
            ],
          },
        ],
      },
      volumeConfigurations: [
        {
          name: 'etcd-data',
          managedEBSVolume: { roleArn: cell.infrastructureRoleArn, volumeType: 'gp3', sizeInGiB: 30 },
        },
      ],
    });
  });

  it('asks for the own disk of the task when the tenant chose ephemeral storage', async () => {
    const { runtime, asked } = await ecs({ RunTask: () => ({ tasks: [{ taskArn: 'task/1' }] }) });
    await runtime.launch({ ...launch, volume: 'ephemeral' });
    expect(asked[0]![1]).toMatchObject({
      taskDefinition: 'member-ephemeral:1',
      overrides: { ephemeralStorage: { sizeInGiB: 30 } },
    });
    expect(asked[0]![1]).not.toHaveProperty('volumeConfigurations');
  });

  it('takes the task that the member has already when its parameters have changed since', async () => {
    const { runtime } = await ecs(fails('ConflictException', 'used', { resourceIds: ['task/old'] }));
    expect(await runtime.launch(launch)).toEqual({ taskArn: 'task/old' });
  });

  it.each([
    ['ThrottlingException', 'Rate exceeded'],
    ['ServerException', 'Service Unavailable. Please try again later.'],
    ['ClientException', 'Capacity is unavailable at this time. Please try again later'],
  ])('tries again later after %s', async (code, message) => {
    const { runtime } = await ecs(fails(code, message));
    await expect(runtime.launch(launch)).rejects.toThrow(TransientError);
  });

  it('tries again later when ECS starts nothing, and says why', async () => {
    const failures = [{ reason: 'Capacity is unavailable at this time.' }];
    const { runtime } = await ecs({ RunTask: () => ({ tasks: [], failures }) });
    await expect(runtime.launch(launch)).rejects.toThrow(TransientError);
    await expect(runtime.launch(launch)).rejects.toThrow('Capacity is unavailable');
  });

  it('names the missing right', async () => {
    const { runtime } = await ecs(fails('AccessDeniedException', 'User is not authorized to perform: x'));
    await expect(runtime.launch(launch)).rejects.toMatchObject({ code: 'access-denied', retryable: false });
    await expect(runtime.launch(launch)).rejects.toThrow('ecs:RunTask');
  });

  it('does not ask for a zone that the cell does not have', async () => {
    const { runtime, asked } = await ecs({ RunTask: () => ({}) });
    await expect(runtime.launch({ ...launch, zone: 'us-east-1z' })).rejects.toThrow(ControlPlaneError);
    expect(asked).toEqual([]);
  });

  it('describes in batches of 100, and leaves out what ECS no longer knows', async () => {
    const task = (taskArn: string) => ({
      taskArn,
      lastStatus: 'RUNNING',
      desiredStatus: 'RUNNING',
      tags: [{ key: 'etcd-nanny:member', value: 'mabcdefgh' }],
      attachments: [
        { type: 'ElasticNetworkInterface', details: [{ name: 'privateIPv4Address', value: '10.0.1.9' }] },
      ],
    });
    const { runtime, asked } = await ecs({
      DescribeTasks: ({ tasks }) => ({
        tasks: (tasks as string[]).filter((arn) => arn !== 'task/7').map(task),
        failures: [{ arn: 'task/7', reason: 'MISSING' }],
      }),
    });
    const views = await runtime.describe(
      cell,
      Array.from({ length: 150 }, (_, n) => `task/${n}`),
    );
    expect(asked.map(([, input]) => (input.tasks as string[]).length)).toEqual([100, 50]);
    expect(views).toHaveLength(149);
    expect(views[0]).toEqual({
      taskArn: 'task/0',
      lastStatus: 'RUNNING',
      desiredStatus: 'RUNNING',
      privateIp: '10.0.1.9',
      memberName: 'mabcdefgh',
    });
    expect(await runtime.describe(cell, [])).toEqual([]);
  });

  it('lists tasks that are still on their way to STOPPED, page by page', async () => {
    const { runtime } = await ecs({
      ListTasks: ({ desiredStatus, nextToken, startedBy }) => {
        expect(startedBy).toBe('etcd-nanny/acme');
        if (desiredStatus === 'STOPPED') return { taskArns: ['ending', 'ended'] };
        return nextToken ? { taskArns: ['b'] } : { taskArns: ['a'], nextToken: 'more' };
      },
      DescribeTasks: () => ({
        tasks: [
          { taskArn: 'ending', lastStatus: 'DEPROVISIONING', desiredStatus: 'STOPPED' },
          { taskArn: 'ended', lastStatus: 'STOPPED', desiredStatus: 'STOPPED' },
        ],
      }),
    });
    expect(await runtime.list(cell, 'acme')).toEqual(['a', 'b', 'ending']);
  });

  it('stops a task, and does not mind when it is gone', async () => {
    const { runtime, asked } = await ecs({
      StopTask: ({ task }) => {
        if (task === 'gone') {
          throw new AwsError('InvalidParameterException', 'The referenced task was not found.');
        }
        return { task: {} };
      },
    });
    await runtime.stop(cell, 'task/1', 'x'.repeat(2000));
    await runtime.stop(cell, 'gone', 'x');
    expect((asked[0]![1].reason as string).length).toBeLessThanOrEqual(255);
  });
});
