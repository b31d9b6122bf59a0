import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Harness,
  isAlive,
  readStarts,
  removeFolder,
  runInput,
  startHarness,
  temporaryFolder,
  until,
} from './harness.ts';

const taskDefinition = { Volumes: [{ Name: 'data', ConfiguredAtLaunch: true }] };
const withVolume = (deleteOnTermination?: boolean) => ({
  clientToken: 'acme-m1',
  volumeConfigurations: [
    {
      name: 'data',
      managedEBSVolume: {
        roleArn: 'arn:aws:iam::123456789012:role/infrastructure',
        sizeInGiB: 10,
        ...(deleteOnTermination !== undefined && { terminationPolicy: { deleteOnTermination } }),
      },
    },
  ],
});
let harness: Harness;
const inStatus = (taskArn: string, status: string) =>
  until(
    () => harness.task(taskArn),
    (task) => task.lastStatus === status,
  );
const started = (count: number) =>
  until(
    () => harness.starts(),
    (starts) => starts.length >= count,
  ).then((starts) => starts[count - 1]!);

afterEach(async () => {
  await harness.close();
  removeFolder(harness.stateDir);
});

describe('a managed volume', () => {
  test.each([
    ['is kept when its task must not delete it', false, 1],
    ['goes with its task by default', undefined, 0],
  ])('%s', async (_, deleteOnTermination, kept) => {
    harness = await startHarness({ taskDefinition });
    const { taskArn } = (await harness.call('RunTask', runInput('', withVolume(deleteOnTermination))))
      .tasks[0];
    await started(1);
    const { directory } = harness.ecs.disks.volumes()[0]!;
    expect(existsSync(path.join(directory, 'kept'))).toBe(true);
    await harness.call('StopTask', { task: taskArn });
    const stopped = await inStatus(taskArn, 'STOPPED');
    expect(existsSync(path.join(directory, 'kept'))).toBe(kept === 1);
    expect(harness.ecs.disks.volumes().map(({ state, taskArn: of }) => ({ state, of }))).toEqual(
      kept ? [{ state: 'available', of: taskArn }] : [],
    );
    expect(stopped.attachments[1]).toMatchObject({ type: 'AmazonElasticBlockStorage', status: 'DELETED' });
    // Nothing else of the task stays on the disk.
    expect(readdirSync(path.join(harness.stateDir, 'ecs', 'tasks'))).toEqual([]);
  });

  test('that ECS may not make stops the task before it starts', async () => {
    harness = await startHarness({ taskDefinition, denied: ['ec2:CreateVolume'] });
    const { taskArn } = (await harness.call('RunTask', runInput('', withVolume()))).tasks[0];
    const stopped = await inStatus(taskArn, 'STOPPED');
    expect(stopped.stopCode).toBe('TaskFailedToStart');
    expect(stopped.stoppedReason).toMatch(/role\/infrastructure may not ec2:CreateVolume/);
  });

  test('must be configured where the task definition leaves it to the launch', async () => {
    harness = await startHarness({ taskDefinition });
    await expect(harness.call('RunTask', runInput())).rejects.toThrow(/data is configuredAtLaunch/);
  });
});

test('after suspend and resume a task has its ARN, address, data and client token, and no event is sent', async () => {
  harness = await startHarness({ taskDefinition });
  const { stateDir } = harness;
  const input = runInput('ignore-term,family', withVolume(false));
  const { taskArn } = (await harness.call('RunTask', input)).tasks[0];
  const before = await inStatus(taskArn, 'RUNNING');
  const first = await started(1);
  await harness.close();
  expect([isAlive(first.pid), isAlive(first.child)]).toEqual([false, false]);

  harness = await startHarness({ stateDir, taskDefinition });
  const second = await started(2);
  expect(second.before).toBe('data');
  const { tags: _tags, ...same } = before;
  expect(await harness.task(taskArn)).toMatchObject(same);
  expect(harness.events).toEqual([]);
  expect((await harness.call('RunTask', input)).tasks[0].taskArn).toBe(taskArn);
  await harness.call('StopTask', { task: taskArn });
  await inStatus(taskArn, 'STOPPED');
});

test('a task that was being stopped when the cloud went down is stopped after the next start', async () => {
  harness = await startHarness();
  const { stateDir } = harness;
  const { taskArn } = (await harness.call('RunTask', runInput('ignore-term'))).tasks[0];
  await started(1);
  await harness.call('StopTask', { task: taskArn });
  await harness.close();
  harness = await startHarness({ stateDir });
  await inStatus(taskArn, 'STOPPED');
  expect(harness.starts()).toHaveLength(1);
});

test('a task that is asked for before the cloud has started is started once, with the rest', async () => {
  let taskArn = '';
  harness = await startHarness({
    beforeStart: async (call) => {
      taskArn = (await call('RunTask', runInput())).tasks[0].taskArn;
    },
  });
  await inStatus(taskArn, 'RUNNING');
  await started(1);
  await harness.call('StopTask', { task: taskArn });
  await inStatus(taskArn, 'STOPPED');
  expect(harness.starts()).toHaveLength(1);
});

test.each(['with the main process alive', 'with only a descendant left'])(
  'after kill -9 of the cloud the next one ends what was left and runs it again, %s',
  async (variant) => {
    const stateDir = temporaryFolder();
    const cloud = spawn(process.execPath, [path.join(import.meta.dirname, 'cloud-process.ts'), stateDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const taskArn = await new Promise<string>((resolve, reject) => {
      createInterface({ input: cloud.stdout! }).once('line', resolve);
      cloud.once('exit', () => reject(new Error('the cloud ended by itself')));
    });
    const [first] = await until(
      () => readStarts(path.join(stateDir, 'report.jsonl')),
      (starts) => starts.length === 1,
    );
    cloud.removeAllListeners('exit');
    cloud.kill('SIGKILL');
    await until(
      () => isAlive(cloud.pid),
      (alive) => !alive,
    );
    expect([isAlive(first!.pid), isAlive(first!.child)]).toEqual([true, true]);
    if (variant.includes('descendant')) {
      process.kill(first!.pid, 'SIGKILL');
      await until(
        () => isAlive(first!.pid),
        (alive) => !alive,
      );
    }
    harness = await startHarness({ stateDir });
    const second = await started(2);
    expect([isAlive(first!.pid), isAlive(first!.child)]).toEqual([false, false]);
    expect(isAlive(second.pid)).toBe(true);
    expect(await harness.task(taskArn)).toMatchObject({ lastStatus: 'RUNNING', desiredStatus: 'RUNNING' });
  },
);
