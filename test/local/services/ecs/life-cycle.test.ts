import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Harness,
  type HarnessOptions,
  isAlive,
  removeFolder,
  runInput,
  startHarness,
  until,
} from './harness.ts';

let harness: Harness;
const open = async (options?: HarnessOptions) => {
  harness = await startHarness(options);
  return harness;
};
const run = async (mode = '', more = {}) =>
  (await harness.call('RunTask', runInput(mode, more))).tasks[0].taskArn as string;
const inStatus = (taskArn: string, status: string) =>
  until(
    () => harness.task(taskArn),
    (task) => task.lastStatus === status,
  );
/** Waits for the nth start of the container to have reported. */
const started = (count: number) =>
  until(
    () => harness.starts(),
    (starts) => starts.length >= count,
  ).then((starts) => starts[count - 1]!);

afterEach(async () => {
  await harness.close();
  removeFolder(harness.stateDir);
});

describe('a task', () => {
  beforeEach(() => open());

  test('goes from PROVISIONING to STOPPED, each step an event with the next version', async () => {
    const answer = await harness.call('RunTask', runInput('', { startedBy: 'etcd-nanny/acme', tags: [] }));
    const [task] = answer.tasks;
    expect(task).toMatchObject({ lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING', version: 1 });
    // The address is not known yet, as on AWS.
    expect(task.attachments[0].details).toEqual([{ name: 'subnetId', value: 'subnet-a' }]);

    const running = await inStatus(task.taskArn, 'RUNNING');
    const ip = running.containers[0].networkInterfaces[0].privateIpv4Address;
    expect(ip).toBe('127.74.0.4');
    expect(running).toMatchObject({
      availabilityZone: 'eu-west-1a',
      cpu: '256',
      memory: '512',
      group: 'family:app',
    });
    expect(running.attachments[0]).toMatchObject({ type: 'ElasticNetworkInterface', status: 'ATTACHED' });
    expect(running.startedAt).toBeCloseTo(Date.now() / 1000, -1);
    await started(1);
    await harness.call('StopTask', { task: task.taskArn, reason: 'enough' });
    const stopped = await inStatus(task.taskArn, 'STOPPED');
    expect(stopped).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'enough' });
    expect(stopped.containers[0]).toMatchObject({ lastStatus: 'STOPPED', exitCode: 0 });

    const details = harness.details(task.taskArn);
    expect(details.map(({ lastStatus, desiredStatus }) => `${lastStatus}/${desiredStatus}`)).toEqual([
      'PROVISIONING/RUNNING',
      'PENDING/RUNNING',
      'RUNNING/RUNNING',
      'RUNNING/STOPPED',
      'DEACTIVATING/STOPPED',
      'STOPPING/STOPPED',
      'DEPROVISIONING/STOPPED',
      'STOPPED/STOPPED',
    ]);
    expect(details.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(harness.events.at(-1)).toMatchObject({
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      resources: [task.taskArn],
    });
    expect(details.at(-1)).toMatchObject({
      clusterArn: harness.clusterArn,
      startedBy: 'etcd-nanny/acme',
      stopCode: 'UserInitiated',
      containers: [{ name: 'app', exitCode: 0, lastStatus: 'STOPPED' }],
      attachments: [{ type: 'eni', status: 'DELETED' }],
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });

  test('sees what a container would see, and nothing of the cloud that started it', async () => {
    process.env.SECRET_OF_THE_CLOUD = 'x';
    const taskArn = await run('', {
      overrides: { containerOverrides: [{ name: 'app', environment: [{ name: 'MEMBER', value: 'm1' }] }] },
    });
    const { env } = await started(1);
    delete process.env.SECRET_OF_THE_CLOUD;
    expect(Object.keys(env).sort()).toEqual(
      ['API', 'AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL', 'AWS_EXECUTION_ENV', 'AWS_REGION', 'DATA_DIR', 'ECS_CONTAINER_METADATA_URI_V4', 'FROM_IMAGE', 'HOME', 'MEMBER', 'PATH', 'REPORT'], // biome-ignore format: a list
    );
    expect(env.API).toBe('http://127.0.0.1:1/_api/prod/');
    expect(env.AWS_ENDPOINT_URL).toBe(harness.endpointUrl);
    // Mount points are folders of the task here.
    expect(existsSync(path.join(env.DATA_DIR!, 'kept'))).toBe(true);
    const log = path.join(harness.stateDir, 'logs', 'tasks', `${taskArn.split('/').at(-1)}.log`);
    await until(
      () => readFileSync(log, 'utf8'),
      (text) => text.includes('hello from the container'),
    );
  });

  test('that ignores SIGTERM is killed after stopTimeout, descendants too', async () => {
    const taskArn = await run('ignore-term,family');
    const { pid, child } = await started(1);
    await inStatus(taskArn, 'RUNNING');
    await harness.call('StopTask', { task: taskArn });
    expect(isAlive(pid)).toBe(true);
    const stopped = await inStatus(taskArn, 'STOPPED');
    expect([isAlive(pid), isAlive(child)]).toEqual([false, false]);
    expect(stopped.containers[0].exitCode).toBe(137);
  });

  test('whose essential container exits is stopped', async () => {
    const taskArn = await run('exit-3');
    const stopped = await inStatus(taskArn, 'STOPPED');
    expect(stopped).toMatchObject({
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
    });
    expect(stopped.containers[0].exitCode).toBe(3);
  });

  test('that is stopped while it starts leaves no process behind', async () => {
    const arns = await Promise.all(Array.from({ length: 4 }, () => run('family')));
    await Promise.all(arns.map((task) => harness.call('StopTask', { task })));
    for (const arn of arns) await inStatus(arn, 'STOPPED');
    for (const { pid, child } of harness.starts())
      expect([isAlive(pid), isAlive(child)]).toEqual([false, false]);
    expect(
      arns.map((arn) => harness.details(arn).filter(({ lastStatus }) => lastStatus === 'STOPPED').length),
    ).toEqual([1, 1, 1, 1]);
  });

  test('can be frozen and thawed', async () => {
    const taskArn = await run();
    const { pid } = await started(1);
    const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0];
    harness.ecs.chaos.pauseTask(taskArn);
    await until(state, (letter) => letter === 'T');
    harness.ecs.chaos.resumeTask(taskArn);
    await until(state, (letter) => letter !== 'T');
  });

  test('is shown for an hour after it stopped', async () => {
    const taskArn = await run('exit-0');
    await inStatus(taskArn, 'STOPPED');
    harness.advance(3500);
    expect(await harness.task(taskArn)).toBeDefined();
    harness.advance(200);
    expect(await harness.call('DescribeTasks', { tasks: [taskArn] })).toEqual({
      tasks: [],
      failures: [{ arn: taskArn, reason: 'MISSING' }],
    });
  });
});

describe('a task that cannot start', () => {
  test('stops with CannotPullContainerError when nobody knows the image', async () => {
    await open({ container: { Image: 'other/app:1' } });
    const stopped = await inStatus(await run(), 'STOPPED');
    expect(stopped.stopCode).toBe('TaskFailedToStart');
    expect(stopped.stoppedReason).toMatch(/^CannotPullContainerError: .*other\/app:1: not found/);
    expect(stopped.containers[0].reason).toBe(stopped.stoppedReason);
    expect(stopped.startedAt).toBeUndefined();
  });

  test('stops with the reason that a broken zone gives', async () => {
    await open();
    harness.ecs.chaos.failLaunchesInZone('eu-west-1a', 'start', 'no capacity');
    const stopped = await inStatus(await run(), 'STOPPED');
    expect(stopped).toMatchObject({
      stopCode: 'TaskFailedToStart',
      stoppedReason: 'ResourceInitializationError: no capacity',
    });
    harness.ecs.chaos.failLaunchesInZone('eu-west-1a', 'start', undefined);
    await inStatus(await run(), 'RUNNING');
  });
});

describe('the restart policy', () => {
  const policy = { Enabled: true, RestartAttemptPeriod: 60, IgnoredExitCodes: [0] };
  const metadata = async (uri: string) => (await fetch(uri)).json() as Promise<{ RestartCount: number }>;

  test('restarts in place after kill -9, but not before every descendant is dead', async () => {
    await open({ container: { RestartPolicy: policy } });
    const taskArn = await run('family');
    const first = await started(1);
    const { version } = await inStatus(taskArn, 'RUNNING');
    harness.advance(60);
    harness.ecs.chaos.killTask(taskArn, 'SIGKILL');
    const second = await started(2);
    expect([isAlive(first.pid), isAlive(first.child)]).toEqual([false, false]);
    expect(isAlive(second.pid)).toBe(true);
    expect(second.before).toBe('data');
    expect(second.env.ECS_CONTAINER_METADATA_URI_V4).toBe(first.env.ECS_CONTAINER_METADATA_URI_V4);
    // Restarts are not steps of the task's life cycle.
    expect(await harness.task(taskArn)).toMatchObject({ lastStatus: 'RUNNING', version });
    expect((await metadata(second.env.ECS_CONTAINER_METADATA_URI_V4!)).RestartCount).toBe(1);
  });

  test('does not restart a container that has not run for restartAttemptPeriod since its latest start', async () => {
    await open({ container: { RestartPolicy: policy } });
    const taskArn = await run();
    await started(1);
    await inStatus(taskArn, 'RUNNING');
    harness.advance(60);
    harness.ecs.chaos.killTask(taskArn, 'SIGKILL');
    await started(2);
    harness.advance(50);
    harness.ecs.chaos.killTask(taskArn, 'SIGKILL');
    const stopped = await inStatus(taskArn, 'STOPPED');
    expect(stopped).toMatchObject({ stopCode: 'EssentialContainerExited', containers: [{ exitCode: 137 }] });
    expect(harness.starts()).toHaveLength(2);
  });

  test('does not restart after an ignored exit code', async () => {
    await open({ container: { RestartPolicy: policy } });
    const taskArn = await run();
    await started(1);
    await inStatus(taskArn, 'RUNNING');
    harness.advance(600);
    harness.ecs.chaos.killTask(taskArn, 'SIGTERM');
    expect(await inStatus(taskArn, 'STOPPED')).toMatchObject({
      stopCode: 'EssentialContainerExited',
      containers: [{ exitCode: 0 }],
    });
    expect(harness.starts()).toHaveLength(1);
  });
});
