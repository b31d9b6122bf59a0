import {
  CreateSnapshotCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  EC2Client,
  type Filter,
  paginateDescribeSnapshots,
  paginateDescribeVolumes,
  type Snapshot,
  type Volume,
} from '@aws-sdk/client-ec2';
import { ControlPlaneError } from '../core/errors.ts';
import type { Cell, Disk, Volumes } from '../core/ports.ts';
import { callAws, clientDefaults, errorName } from './aws-errors.ts';
import { cellTag, memberTag, purposeTag, tenantTag } from './tags.ts';

/**
 * EBS volumes that ECS made for tasks, and copies of them, all known by our tags.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | list, listKept | ec2:DescribeVolumes, ec2:DescribeSnapshots | `*` |
 * | copy | ec2:DescribeSnapshots, ec2:DescribeVolumes | `*` |
 * | | ec2:CreateSnapshot | volumes of the cell, by tag; snapshots |
 * | | ec2:CreateTags | snapshots, condition ec2:CreateAction = CreateSnapshot |
 * | remove | ec2:DescribeSnapshots, ec2:DescribeVolumes | `*` |
 * | | ec2:DeleteSnapshot, ec2:DeleteVolume | those of the cell, by tag |
 */
export class Ec2Volumes implements Volumes {
  readonly #client: EC2Client;

  constructor(options: { client?: EC2Client } = {}) {
    this.#client = options.client ?? new EC2Client(clientDefaults);
  }

  async list(cell: Cell, tenantId: string): Promise<Disk[]> {
    return this.#disks([tagged(cellTag, cell.id), tagged(tenantTag, tenantId)], [...live]);
  }

  async listKept(cell: Cell): Promise<Disk[]> {
    return this.#disks([tagged(cellTag, cell.id)], ['available']);
  }

  /** @param states of volumes that are asked for: those of a whole cell are many, and nearly all in use */
  async #disks(whose: Filter[], states: string[]): Promise<Disk[]> {
    const [volumes, snapshots] = await Promise.all([
      this.#volumes([...whose, { Name: 'status', Values: states }]),
      this.#snapshots(whose),
    ]);
    const known = new Set(volumes.map(({ VolumeId }) => VolumeId));
    const copied = [...new Set(snapshots.flatMap(({ VolumeId }) => VolumeId ?? []))];
    const others = copied.filter((volumeId) => !known.has(volumeId));
    const inUse = new Set((await this.#byId(others)).map(({ VolumeId }) => VolumeId));
    const left = others.filter((volumeId) => !inUse.has(volumeId));
    return [
      ...volumes.flatMap((volume) => diskOf(volume, stateOf(volume), volume.VolumeId, volume.CreateTime)),
      ...left.flatMap((volumeId) => {
        const copy = snapshots.find(({ VolumeId }) => VolumeId === volumeId)!;
        return diskOf(copy, 'gone', volumeId, copy.StartTime);
      }),
    ].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async #byId(volumeIds: readonly string[]): Promise<Volume[]> {
    const found: Volume[] = [];
    for (let from = 0; from < volumeIds.length; from += mostFilterValues) {
      const Values = volumeIds.slice(from, from + mostFilterValues);
      const ofIds = [
        { Name: 'volume-id', Values },
        { Name: 'status', Values: [...live] },
      ];
      found.push(...(await this.#volumes(ofIds)));
    }
    return found;
  }

  async copy(
    cell: Cell,
    { volumeId, tenantId, memberName }: Disk,
    purpose: string,
  ): Promise<{ snapshotId: string; ready: boolean } | undefined> {
    const same = [tagged(cellTag, cell.id), only('volume-id', volumeId), tagged(purposeTag, purpose)];
    const [known] = (await this.#snapshots(same)).filter(({ State }) => State !== 'error');
    if (known?.SnapshotId) return { snapshotId: known.SnapshotId, ready: known.State === 'completed' };
    // One that is gone has no tags either: the right to copy it, which hangs on them, would be refused.
    if ((await this.#byId([volumeId])).length === 0) return undefined;
    const tags = {
      [tenantTag]: tenantId,
      [memberTag]: memberName,
      [cellTag]: cell.id,
      [purposeTag]: purpose,
    };
    const command = new CreateSnapshotCommand({
      VolumeId: volumeId,
      Description: `etcd-nanny: disk of ${memberName} of ${tenantId}`,
      TagSpecifications: [
        { ResourceType: 'snapshot', Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
      ],
    });
    const { SnapshotId, State } = await callAws('ec2:CreateSnapshot', () => this.#client.send(command));
    if (SnapshotId === undefined) {
      throw new ControlPlaneError('aws-refused', 'ec2:CreateSnapshot answered without an id.');
    }
    return { snapshotId: SnapshotId, ready: State === 'completed' };
  }

  /** Copies first: without the volume nobody would look for them. */
  async remove(cell: Cell, volumeId: string): Promise<void> {
    const copies = [tagged(cellTag, cell.id), only('volume-id', volumeId)];
    for (const { SnapshotId } of await this.#snapshots(copies)) {
      const command = new DeleteSnapshotCommand({ SnapshotId });
      await unlessGone('ec2:DeleteSnapshot', 'InvalidSnapshot.NotFound', () => this.#client.send(command));
    }
    if ((await this.#byId([volumeId])).length === 0) return;
    const command = new DeleteVolumeCommand({ VolumeId: volumeId });
    await unlessGone('ec2:DeleteVolume', 'InvalidVolume.NotFound', () => this.#client.send(command));
  }

  async #volumes(Filters: Filter[]): Promise<Volume[]> {
    const found: Volume[] = [];
    await callAws('ec2:DescribeVolumes', async () => {
      for await (const page of paginateDescribeVolumes({ client: this.#client }, { Filters })) {
        found.push(...(page.Volumes ?? []));
      }
    });
    return found;
  }

  /** Oldest first, so that two who made one each at the same time go on with the same. */
  async #snapshots(Filters: Filter[]): Promise<Snapshot[]> {
    const found: Snapshot[] = [];
    await callAws('ec2:DescribeSnapshots', async () => {
      const input = { OwnerIds: ['self'], Filters };
      for await (const page of paginateDescribeSnapshots({ client: this.#client }, input)) {
        found.push(...(page.Snapshots ?? []));
      }
    });
    return found.sort((a, b) => (a.StartTime?.getTime() ?? 0) - (b.StartTime?.getTime() ?? 0));
  }
}

const only = (Name: string, value: string): Filter => ({ Name, Values: [value] });
const tagged = (tag: string, value: string): Filter => only(`tag:${tag}`, value);
const tagOf = ({ Tags }: Pick<Volume, 'Tags'>, tag: string): string | undefined =>
  Tags?.find(({ Key }) => Key === tag)?.Value;

/** Every state but those of volumes that are gone or were never made. */
const live = ['creating', 'available', 'in-use'] as const;
/** EC2 takes no more values in one filter. */
const mostFilterValues = 200;

/** `available`: attached to nothing. */
const stateOf = ({ State }: Volume): Disk['state'] => (State === 'available' ? 'kept' : 'attached');

function diskOf(
  tags: Pick<Volume, 'Tags'>,
  state: Disk['state'],
  volumeId: string | undefined,
  madeAt: Date | undefined,
): Disk[] {
  const [tenantId, memberName] = [tagOf(tags, tenantTag), tagOf(tags, memberTag)];
  if (volumeId === undefined || tenantId === undefined || memberName === undefined) return [];
  return [{ volumeId, state, tenantId, memberName, createdAt: (madeAt ?? new Date(0)).toISOString() }];
}

async function unlessGone(action: string, gone: string, call: () => Promise<unknown>): Promise<void> {
  await callAws(action, async () => {
    try {
      await call();
    } catch (error) {
      if (errorName(error) !== gone) throw error;
    }
  });
}
