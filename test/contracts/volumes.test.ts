import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { DeleteVolumeCommand, DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ec2Volumes } from '../../lambdas/adapters/ec2-volumes.ts';
import type { Cell, Volumes } from '../../lambdas/core/ports.ts';
import { copyDisks, listDisks, removeDisks } from '../../lib/policies/disks.ts';
import type { CellScope } from '../../lib/policies/scope.ts';
import { CredentialStore } from '../../local/iam/credentials.ts';
import { Iam } from '../../local/iam/iam.ts';
import { createEc2 } from '../../local/services/ec2/index.ts';
import { FakeVolumes } from '../fakes/fake-volumes.ts';
import { type Harness, removeFolder, runInput, startHarness, until } from '../local/services/ecs/harness.ts';
import { accountId, region, startEndpoint, type TestEndpoint } from '../local/support/endpoint.ts';
import { testCell } from './cell.ts';

interface World {
  readonly volumes: Volumes;
  readonly cell: Cell;
  /** A member ran, and its disk is left. */
  left(tenantId: string, memberName: string): Promise<string>;
  /** Copies that were begun get whole. */
  copied(): Promise<void>;
  /** Somebody else has removed the disk. */
  lose(volumeId: string): Promise<void>;
}

function volumesContract(world: () => World): void {
  it('finds the disks that a tenant’s members have left, oldest first, and nobody else’s', async () => {
    const { volumes, cell, left } = world();
    const first = await left('acme', 'maaaaaaaa');
    const second = await left('acme', 'mbbbbbbbb');
    await left('other', 'mcccccccc');
    expect(await volumes.list(cell, 'acme')).toMatchObject([
      { volumeId: first, tenantId: 'acme', memberName: 'maaaaaaaa' },
      { volumeId: second, tenantId: 'acme', memberName: 'mbbbbbbbb' },
    ]);
    expect(await volumes.list(cell, 'nobody')).toEqual([]);
  });

  it('finds all that no task has, whoever’s they are', async () => {
    const { volumes, cell, left } = world();
    const mine = [await left('one-of-two', 'maaaaaaaa'), await left('two-of-two', 'mbbbbbbbb')];
    const kept = await volumes.listKept(cell);
    expect(kept.filter(({ volumeId }) => mine.includes(volumeId))).toMatchObject([
      { tenantId: 'one-of-two', memberName: 'maaaaaaaa', state: 'kept' },
      { tenantId: 'two-of-two', memberName: 'mbbbbbbbb', state: 'kept' },
    ]);
  });

  it('copies a disk once for each purpose, however often it is asked', async () => {
    const { volumes, cell, left, copied } = world();
    await left('copied', 'maaaaaaaa');
    const [volume] = await volumes.list(cell, 'copied');
    const copy = await volumes.copy(cell, volume!, 'first');
    await copied();
    expect(await volumes.copy(cell, volume!, 'first')).toEqual({ snapshotId: copy?.snapshotId, ready: true });
    const other = await volumes.copy(cell, volume!, 'second');
    expect(other?.snapshotId).not.toBe(copy?.snapshotId);
  });

  it('finds copies of a disk that is gone, and copies nothing of it any more', async () => {
    const { volumes, cell, left, copied, lose } = world();
    const volumeId = await left('lost', 'maaaaaaaa');
    const [volume] = await volumes.list(cell, 'lost');
    await volumes.copy(cell, volume!, 'first');
    await copied();
    await lose(volumeId);
    expect(await volumes.list(cell, 'lost')).toMatchObject([{ volumeId, state: 'gone' }]);
    expect((await volumes.listKept(cell)).map((disk) => disk.volumeId)).toContain(volumeId);
    expect(await volumes.copy(cell, volume!, 'second')).toBeUndefined();
    await volumes.remove(cell, volumeId);
    expect(await volumes.list(cell, 'lost')).toEqual([]);
  });

  it('removes a disk with its copies, and does not mind when it is gone', async () => {
    const { volumes, cell, left, copied } = world();
    const volumeId = await left('removed', 'maaaaaaaa');
    const [volume] = await volumes.list(cell, 'removed');
    await volumes.copy(cell, volume!, 'test');
    await copied();
    await volumes.remove(cell, volumeId);
    await volumes.remove(cell, volumeId);
    expect(await volumes.list(cell, 'removed')).toEqual([]);
  });
}

describe('Volumes fake', () => {
  const volumes = new FakeVolumes();
  let count = 0;
  volumesContract(() => ({
    volumes,
    cell: testCell(),
    copied: async () => volumes.finishCopies(),
    lose: async (volumeId) => volumes.lose(volumeId),
    async left(tenantId, memberName) {
      const volumeId = `vol-${++count}`;
      volumes.keep({ volumeId, tenantId, memberName, createdAt: new Date(count).toISOString() });
      return volumeId;
    },
  }));
});

describe('Volumes in EC2, with the rights that the policies give', () => {
  const iam = new Iam({ accountId, region });
  const credentials = new CredentialStore({ accountId });
  const roleArn = `arn:aws:iam::${accountId}:role/remediate`;
  let harness: Harness;
  let endpoint: TestEndpoint;
  let client: EC2Client;

  beforeAll(async () => {
    harness = await startHarness({
      taskDefinition: { Volumes: [{ Name: 'data', ConfiguredAtLaunch: true }] },
    });
    const ec2 = createEc2({ accountId, region }, { disks: harness.ecs.disks });
    endpoint = await startEndpoint(ec2.services, { iam, credentials });
    const scope = {
      cellId: 'cell-1',
      volumeArns: `arn:aws:ec2:${region}:${accountId}:volume/*`,
      snapshotArns: `arn:aws:ec2:${region}::snapshot/*`,
    } as CellScope;
    const statements = [listDisks(), ...copyDisks(scope), ...removeDisks(scope)];
    await iam.provider().provision({
      type: 'AWS::IAM::Role',
      stack: 'Test',
      logicalId: 'Remediate',
      properties: {
        RoleName: 'remediate',
        AssumeRolePolicyDocument: { Statement: [] },
        Policies: [
          {
            PolicyName: 'p',
            PolicyDocument: { Statement: statements.map((one) => one.toStatementJson()) },
          },
        ],
      },
    });
    const { expiration: _, ...key } = credentials.issue(roleArn, 'session', 3_600);
    client = new EC2Client({ endpoint: endpoint.url, region, maxAttempts: 1, credentials: key });
  });
  afterAll(async () => {
    client.destroy();
    await endpoint.close();
    await harness.close();
    removeFolder(harness.stateDir);
  });

  const volumeOf = (tags: Record<string, string>, more: object = {}) => ({
    volumeConfigurations: [
      {
        name: 'data',
        managedEBSVolume: {
          roleArn: 'arn:aws:iam::123456789012:role/infrastructure',
          sizeInGiB: 10,
          terminationPolicy: { deleteOnTermination: false },
          tagSpecifications: [
            {
              resourceType: 'volume',
              tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
            },
          ],
          ...more,
        },
      },
    ],
  });
  const inStatus = (taskArn: string, status: string) =>
    until(
      () => harness.task(taskArn),
      (task) => task.lastStatus === status,
    );
  const tagged = (tenantId: string, memberName: string, cell = 'cell-1') => ({
    'etcd-nanny:cell': cell,
    'etcd-nanny:tenant': tenantId,
    'etcd-nanny:member': memberName,
  });
  async function run(volume: Record<string, unknown>): Promise<{ taskArn: string; volumeId: string }> {
    const known = harness.starts().length;
    const { taskArn } = (await harness.call('RunTask', runInput('', volume))).tasks[0];
    await until(harness.starts, (starts) => starts.length > known);
    const mine = harness.ecs.disks.volumes().find((one) => one.taskArn === taskArn);
    return { taskArn, volumeId: mine!.volumeId };
  }
  async function stop(taskArn: string): Promise<void> {
    await harness.call('StopTask', { task: taskArn });
    await inStatus(taskArn, 'STOPPED');
  }
  async function left(tenantId: string, memberName: string, cell?: string): Promise<string> {
    const { taskArn, volumeId } = await run(volumeOf(tagged(tenantId, memberName, cell)));
    await stop(taskArn);
    return volumeId;
  }
  const world = () => ({
    volumes: new Ec2Volumes({ client }),
    cell: testCell(),
    left,
    copied: () => harness.ecs.disks.settle(),
    lose: (volumeId: string) => harness.ecs.disks.removeVolume(volumeId),
  });
  volumesContract(world);

  it('says that a disk is in use, and cannot remove it', async () => {
    const { taskArn, volumeId } = await run(volumeOf(tagged('busy', 'maaaaaaaa')));
    const { volumes, cell } = world();
    expect(await volumes.list(cell, 'busy')).toMatchObject([{ volumeId, state: 'attached' }]);
    expect((await volumes.listKept(cell)).map((disk) => disk.volumeId)).not.toContain(volumeId);
    await expect(volumes.remove(cell, volumeId)).rejects.toThrow(/VolumeInUse/);
    await stop(taskArn);
  });

  it('a task can begin with a copy; the disk that was left stays as it was', async () => {
    const { volumes, cell } = world();
    const volumeId = await left('begun', 'maaaaaaaa');
    const [volume] = await volumes.list(cell, 'begun');
    await volumes.copy(cell, volume!, 'test');
    await harness.ecs.disks.settle();
    const { snapshotId } = (await volumes.copy(cell, volume!, 'test'))!;
    const { taskArn } = await run(volumeOf(tagged('begun', 'mworker00'), { snapshotId }));
    expect(harness.starts().at(-1)!.before).toBe('data');
    await stop(taskArn);
    const directory = (id: string) => path.join(harness.stateDir, 'ecs', 'volumes', id);
    expect(readdirSync(directory(volumeId))).toEqual(['kept']);
    await volumes.remove(cell, volumeId);
    expect(existsSync(directory(volumeId))).toBe(false);
    expect(existsSync(path.join(harness.stateDir, 'ecs', 'snapshots', snapshotId))).toBe(false);
  });

  it('a task whose copy is gone, or too large for its disk, does not start', async () => {
    for (const [more, why] of [
      [{ snapshotId: 'snap-0123456789abcdef0' }, /does not exist/],
      [{ snapshotId: 'small', sizeInGiB: 5 }, /smaller than its snapshot/],
    ] as const) {
      const { volumes, cell } = world();
      if (more.snapshotId === 'small') {
        await left('large', 'maaaaaaaa');
        const [volume] = await volumes.list(cell, 'large');
        Object.assign(more, await volumes.copy(cell, volume!, 'test'));
        await harness.ecs.disks.settle();
      }
      const { ready: _, ...asked } = more as Record<string, unknown>;
      const { taskArn } = (
        await harness.call('RunTask', runInput('', volumeOf(tagged('large', 'mworker00'), asked)))
      ).tasks[0];
      const stopped = await inStatus(taskArn, 'STOPPED');
      expect([stopped.stopCode, stopped.stoppedReason]).toEqual([
        'TaskFailedToStart',
        expect.stringMatching(why),
      ]);
    }
  });

  it('touches nothing that is another cell’s, or nobody’s', async () => {
    const { volumes, cell } = world();
    const theirs = await left('acme', 'mdddddddd', 'cell-2');
    const { taskArn, volumeId: nobodys } = await run(volumeOf({}));
    await stop(taskArn);
    expect((await volumes.list(cell, 'acme')).map(({ volumeId }) => volumeId)).not.toContain(theirs);
    for (const volumeId of [theirs, nobodys]) {
      const known = {
        volumeId,
        tenantId: 'acme',
        memberName: 'mdddddddd',
        createdAt: '',
        state: 'kept' as const,
      };
      await expect(volumes.remove(cell, volumeId)).rejects.toMatchObject({ code: 'access-denied' });
      await expect(volumes.copy(cell, known, 'test')).rejects.toMatchObject({ code: 'access-denied' });
    }
  });

  it('answers in the words of EC2', async () => {
    const gone = client.send(new DescribeVolumesCommand({ VolumeIds: ['vol-0123456789abcdef0'] }));
    await expect(gone).rejects.toMatchObject({ name: 'InvalidVolume.NotFound' });
    const filter = client.send(new DescribeVolumesCommand({ Filters: [{ Name: 'mood', Values: ['x'] }] }));
    await expect(filter).rejects.toMatchObject({ name: 'InvalidParameterValue' });
    const page = await client.send(new DescribeVolumesCommand({ MaxResults: 5 }));
    expect(page.Volumes).toHaveLength(5);
    expect(page.NextToken).toBeDefined();
    const foreign = await left('x', 'maaaaaaaa', 'cell-9');
    const remove = client.send(new DeleteVolumeCommand({ VolumeId: foreign }));
    await expect(remove).rejects.toMatchObject({ name: 'UnauthorizedOperation' });
  });
});
