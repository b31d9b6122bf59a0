import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonOperation } from '../../../../local/aws/service.ts';
import { caller, type Harness, removeFolder, runInput, startHarness, until } from './harness.ts';

const volume = { roleArn: 'arn:aws:iam::123456789012:role/infrastructure', sizeInGiB: 10 };
let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(async () => {
  await harness.close();
  removeFolder(harness.stateDir);
});

const run = async (more = {}, mode = '') => harness.call('RunTask', runInput(mode, more));
const inStatus = (taskArn: string, status: string) =>
  until(
    () => harness.task(taskArn),
    (task) => task.lastStatus === status,
  );

describe('a client token', () => {
  test('gives the same task again, also after it has stopped', async () => {
    const first = await run({ clientToken: 'acme-m1' });
    const again = await run({ clientToken: 'acme-m1' });
    const { taskArn } = first.tasks[0];
    expect(again.tasks.map((task: { taskArn: string }) => task.taskArn)).toEqual([taskArn]);
    await harness.call('StopTask', { task: taskArn });
    await inStatus(taskArn, 'STOPPED');
    harness.advance(2 * 3600);
    const late = await run({ clientToken: 'acme-m1' });
    expect(late.tasks[0]).toMatchObject({ taskArn, lastStatus: 'STOPPED' });
  });

  test('gives one task to calls that come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => run({ clientToken: 'twins' })));
    expect(new Set(answers.map((answer) => answer.tasks[0].taskArn)).size).toBe(1);
  });

  test('with other parameters is a ConflictException that names the task', async () => {
    const { tasks } = await run({ clientToken: 'acme-m2' });
    const other = run({ clientToken: 'acme-m2', startedBy: 'somebody-else' });
    await expect(other).rejects.toMatchObject({
      code: 'ConflictException',
      details: { resourceIds: [tasks[0].taskArn] },
    });
  });
});

describe('a request is refused', () => {
  const override = (name: string) => ({ overrides: { containerOverrides: [{ name }] } });
  const ebs = (name: string, more = {}) => ({
    volumeConfigurations: [{ name, managedEBSVolume: { ...volume, ...more } }],
  });
  test.each<[string, object, string, RegExp]>([
    ['an unknown field', { colour: 'red' }, 'InvalidParameterException', /colour/],
    ['no task definition', { taskDefinition: undefined }, 'InvalidParameterException', /taskDefinition/],
    ['an unknown task definition', { taskDefinition: 'app:77' }, 'ClientException', /not found/],
    ['an unknown cluster', { cluster: 'nowhere' }, 'ClusterNotFoundException', /Cluster not found/],
    [
      'a startedBy of 129 characters',
      { startedBy: 'x'.repeat(129) },
      'InvalidParameterException',
      /startedBy/,
    ],
    ['a startedBy with a colon', { startedBy: 'a:b' }, 'InvalidParameterException', /startedBy/],
    [
      'a client token of 65 characters',
      { clientToken: 'x'.repeat(65) },
      'InvalidParameterException',
      /clientToken/,
    ],
    ['11 tasks', { count: 11 }, 'InvalidParameterException', /count/],
    [
      'a cpu and memory pair that Fargate lacks',
      { overrides: { cpu: '256', memory: '4096' } },
      'InvalidParameterException',
      /No Fargate configuration exists/,
    ],
    [
      'ephemeral storage of 20 GiB',
      { overrides: { ephemeralStorage: { sizeInGiB: 20 } } },
      'InvalidParameterException',
      /ephemeralStorage/,
    ],
    [
      '51 tags',
      { tags: Array.from({ length: 51 }, (_, n) => ({ key: `k${n}`, value: '' })) },
      'InvalidParameterException',
      /tags/,
    ],
    ['a tag of AWS', { tags: [{ key: 'aws:x', value: '' }] }, 'InvalidParameterException', /aws:/],
    [
      'a tag given twice',
      {
        tags: [
          { key: 'x', value: '1' },
          { key: 'x', value: '2' },
        ],
      },
      'InvalidParameterException',
      /twice/,
    ],
    [
      'an override for another container',
      override('other'),
      'InvalidParameterException',
      /named other is not a container/,
    ],
    [
      'no network',
      { networkConfiguration: undefined },
      'InvalidParameterException',
      /Network Configuration must be provided/,
    ],
    [
      'an unknown subnet',
      { networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-x'] } } },
      'InvalidParameterException',
      /subnet-x/,
    ],
    [
      'a volume that is not configured at launch',
      ebs('data'),
      'InvalidParameterException',
      /data does not match/,
    ],
    ['a volume without role', ebs('data', { roleArn: undefined }), 'InvalidParameterException', /roleArn/],
    [
      'both launch type and capacity provider',
      { capacityProviderStrategy: [{ capacityProvider: 'FARGATE' }] },
      'InvalidParameterException',
      /both a launch type/,
    ],
    [
      'no launch type where there are no instances',
      { launchType: undefined },
      'InvalidParameterException',
      /No Container Instances/,
    ],
  ])('for %s', async (_, more, code, message) => {
    await expect(run(more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('without leaving a task or a used client token behind', async () => {
    const bad = {
      clientToken: 'retry',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-x'] } },
    };
    await expect(run(bad)).rejects.toThrow();
    expect((await run({ clientToken: 'retry' })).tasks).toHaveLength(1);
  });
});

describe('placement', () => {
  test('gives each task its own address in the subnet of its zone, and none back soon', async () => {
    const inB = {
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-b'] } },
      count: 3,
      startedBy: 'spread',
    };
    const { tasks } = await run(inB);
    const ips: string[] = [];
    for (const { taskArn } of tasks) {
      const task = await inStatus(taskArn, 'RUNNING');
      expect(task.availabilityZone).toBe('eu-west-1b');
      ips.push(task.containers[0].networkInterfaces[0].privateIpv4Address);
      await harness.call('StopTask', { task: taskArn });
      await inStatus(taskArn, 'STOPPED');
    }
    expect(ips).toEqual(['127.74.1.4', '127.74.1.5', '127.74.1.6']);
    const next = await inStatus((await run({ ...inB, count: 1 })).tasks[0].taskArn, 'RUNNING');
    expect(next.containers[0].networkInterfaces[0].privateIpv4Address).toBe('127.74.1.7');
  });

  test('answers a failure, and keeps the client token free, while a zone has no capacity', async () => {
    const input = { clientToken: 'no-room' };
    harness.ecs.chaos.failLaunchesInZone('eu-west-1a', 'refuse', 'RESOURCE:MEMORY');
    expect(await run(input)).toEqual({ tasks: [], failures: [{ reason: 'RESOURCE:MEMORY' }] });
    harness.ecs.chaos.failLaunchesInZone('eu-west-1a', 'refuse', undefined);
    expect((await run(input)).tasks).toHaveLength(1);
  });
});

test('what was described while reads are stale is old news', async () => {
  const { taskArn } = (await run()).tasks[0];
  await inStatus(taskArn, 'RUNNING');
  harness.ecs.chaos.staleReads(true);
  await harness.call('StopTask', { task: taskArn });
  const young = (await run()).tasks[0].taskArn;
  expect((await harness.task(taskArn)).desiredStatus).toBe('RUNNING');
  expect((await harness.call('DescribeTasks', { tasks: [young] })).failures).toEqual([
    { arn: young, reason: 'MISSING' },
  ]);
  harness.ecs.chaos.staleReads(false);
  await inStatus(taskArn, 'STOPPED');
});

test('a task that is claimed to have stopped is told of as stopped, and runs', async () => {
  const { taskArn } = (await run()).tasks[0];
  await inStatus(taskArn, 'RUNNING');
  harness.ecs.chaos.claimStopped([taskArn], true);
  expect(await harness.task(taskArn)).toMatchObject({ lastStatus: 'STOPPED', desiredStatus: 'STOPPED' });
  const running = await harness.call('ListTasks', { desiredStatus: 'RUNNING' });
  expect(running.taskArns).not.toContain(taskArn);
  harness.ecs.chaos.claimStopped([taskArn], false);
  expect((await harness.task(taskArn)).lastStatus).toBe('RUNNING');
});

describe('IAM is asked', () => {
  const needs = (operation: string, input: object) => {
    const { authorize } = harness.ecs.services[0].operations[operation] as JsonOperation;
    return authorize({ cluster: 'main', ...input } as never, caller);
  };

  test('for RunTask on the task definition, for every role that is passed, and for the tags', () => {
    const input = runInput('', { tags: [{ key: 'etcd-nanny:tenant', value: 'acme' }] });
    const asked = needs('RunTask', input);
    expect(asked).toMatchObject([
      {
        action: 'ecs:RunTask',
        resource: 'arn:aws:ecs:eu-west-1:123456789012:task-definition/app:1',
        context: { 'ecs:cluster': harness.clusterArn, 'aws:RequestTag/etcd-nanny:tenant': 'acme' },
      },
      {
        action: 'iam:PassRole',
        resource: 'arn:aws:iam::123456789012:role/task',
        context: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
      },
      { action: 'iam:PassRole', resource: 'arn:aws:iam::123456789012:role/execution' },
      {
        action: 'ecs:TagResource',
        resource: 'arn:aws:ecs:eu-west-1:123456789012:task/main/*',
        context: { 'ecs:CreateAction': 'RunTask', 'ecs:cluster': harness.clusterArn },
      },
    ]);
    const withVolume = needs(
      'RunTask',
      runInput('', { volumeConfigurations: [{ name: 'data', managedEBSVolume: volume }] }),
    );
    expect(withVolume.find(({ resource }) => resource === volume.roleArn)).toEqual({
      action: 'iam:PassRole',
      resource: volume.roleArn,
      context: { 'iam:PassedToService': 'ecs.amazonaws.com' },
    });
  });

  test('for tasks by ARN, with their cluster and tags, and for lists with the cluster alone', async () => {
    const { taskArn, taskId = taskArn.split('/')[2] } = (
      await run({ tags: [{ key: 'tenant', value: 'acme' }] })
    ).tasks[0];
    const context = { 'ecs:cluster': harness.clusterArn };
    expect(needs('StopTask', { task: taskId })).toMatchObject([
      {
        action: 'ecs:StopTask',
        resource: taskArn,
        context: { ...context, 'aws:ResourceTag/tenant': 'acme' },
      },
    ]);
    expect(needs('DescribeTasks', { tasks: [taskArn, 'gone'] })).toHaveLength(2);
    expect(needs('ListTasks', {})).toEqual([{ action: 'ecs:ListTasks', resource: '*', context }]);
  });
});
