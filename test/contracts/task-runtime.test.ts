import { ECSClient } from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EcsTaskRuntime } from '../../lambdas/adapters/ecs-task-runtime.ts';
import type { Cell, LaunchRequest, TaskRuntime, TaskView } from '../../lambdas/core/ports.ts';
import { SimEcs } from '../fakes/sim/sim-ecs.ts';
import { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { type Harness, removeFolder, startHarness, until } from '../local/services/ecs/harness.ts';
import { testCell } from './cell.ts';

interface World {
  readonly runtime: TaskRuntime;
  readonly cell: Cell;
  /** Lets the task go on until this is so. */
  becomes(taskArn: string, accept: (task: TaskView) => boolean): Promise<TaskView>;
}

function taskRuntimeContract(world: () => World): void {
  const request = (tenantId: string, memberName: string, over: Partial<LaunchRequest> = {}) => ({
    cell: world().cell,
    tenantId,
    memberName,
    zone: world().cell.subnets[0]!.zone,
    size: 'micro' as const,
    storageGiB: 21,
    volume: 'ephemeral' as const,
    ...over,
  });
  const running = (task: TaskView) => task.lastStatus === 'RUNNING';
  const stopped = (task: TaskView) => task.lastStatus === 'STOPPED';

  it('starts one task for a member, however often and from however many sides it is asked', async () => {
    const { runtime } = world();
    const asked = Array.from({ length: 4 }, () => runtime.launch(request('once', 'maaaaaaaa')));
    const arns = (await Promise.all(asked)).map(({ taskArn }) => taskArn);
    expect(new Set(arns).size).toBe(1);
    const again = await runtime.launch(request('once', 'maaaaaaaa', { size: 'small' }));
    expect(again.taskArn).toBe(arns[0]);
    expect((await runtime.launch(request('once', 'mbbbbbbbb'))).taskArn).not.toBe(arns[0]);
  });

  it('tells whose task it is, and its address once it runs', async () => {
    const { runtime, becomes, cell } = world();
    const { taskArn } = await runtime.launch(request('seen', 'maaaaaaaa'));
    expect(await becomes(taskArn, running)).toMatchObject({
      taskArn,
      desiredStatus: 'RUNNING',
      memberName: 'maaaaaaaa',
      privateIp: expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/),
    });
    const unknown = `${taskArn.slice(0, -4)}0bad`;
    expect((await runtime.describe(cell, [taskArn, unknown])).map((task) => task.taskArn)).toEqual([taskArn]);
  });

  it('lists the tasks of one tenant until they have stopped', async () => {
    const { runtime, cell, becomes } = world();
    const first = await runtime.launch(request('listed', 'maaaaaaaa'));
    const second = await runtime.launch(request('listed', 'mbbbbbbbb'));
    await runtime.launch(request('listed-not', 'mcccccccc'));
    await becomes(first.taskArn, running);
    await becomes(second.taskArn, running);
    const both = [first.taskArn, second.taskArn].sort();
    expect((await runtime.list(cell, 'listed')).sort()).toEqual(both);
    await runtime.stop(cell, first.taskArn, 'no longer wanted');
    const gone = await becomes(first.taskArn, stopped);
    expect(gone).toMatchObject({ desiredStatus: 'STOPPED', stoppedReason: 'no longer wanted' });
    expect(await runtime.list(cell, 'listed')).toEqual([second.taskArn]);
    expect(await runtime.list(cell, 'nobody')).toEqual([]);
  });

  it('stops what is stopped or unknown without complaint', async () => {
    const { runtime, cell, becomes } = world();
    const { taskArn } = await runtime.launch(request('stopped', 'maaaaaaaa'));
    await runtime.stop(cell, taskArn, 'first');
    await becomes(taskArn, stopped);
    await runtime.stop(cell, taskArn, 'second');
    await runtime.stop(cell, `${taskArn.slice(0, -4)}0bad`, 'unknown');
  });
}

describe('TaskRuntime simulated', () => {
  const clock = new VirtualClock();
  const runtime = new SimEcs(clock);
  const cell = testCell();
  taskRuntimeContract(() => ({
    runtime,
    cell,
    async becomes(taskArn, accept) {
      for (let step = 0; step < 100; step++) {
        const [task] = await runtime.describe(cell, [taskArn]);
        if (task !== undefined && accept(task)) return task;
        await clock.step(Number.POSITIVE_INFINITY);
      }
      throw new Error(`${taskArn} did not get there`);
    },
  }));
});

describe('TaskRuntime on the local ECS', () => {
  let harness: Harness;
  let client: ECSClient;
  let cell: Cell;
  beforeAll(async () => {
    harness = await startHarness();
    client = new ECSClient({
      endpoint: harness.endpointUrl,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      maxAttempts: 1,
    });
    cell = testCell({
      clusterArn: harness.clusterArn,
      taskDefinitions: { ebs: 'app', ephemeral: 'app' },
      containerName: 'app',
      subnets: [{ zone: 'eu-west-1a', subnetId: 'subnet-a' }],
    });
  });
  afterAll(async () => {
    client.destroy();
    await harness.close();
    removeFolder(harness.stateDir);
  });
  taskRuntimeContract(() => {
    const runtime = new EcsTaskRuntime({ client });
    return {
      runtime,
      cell,
      async becomes(taskArn, accept) {
        const probe = async () => (await runtime.describe(cell, [taskArn]))[0];
        const found = await until(probe, (task) => task !== undefined && accept(task), 20_000);
        return found!;
      },
    };
  });
});
