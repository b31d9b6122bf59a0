import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { AwsError, type CloudContext } from '../../aws/service.ts';
import type { SnapshotRecord, VolumeRecord } from './model.ts';
import type { TagList } from './requests.ts';
import { ContainerStartError } from './runtime.ts';
import type { EcsStore } from './store.ts';

/** Volumes and their snapshots: folders below `<stateDir>/ecs`. EC2 shows them, ECS makes and attaches them. */
export interface Disks {
  /** All there are, those kept after their task included. */
  volumes(): VolumeRecord[];
  snapshots(): SnapshotRecord[];
  /** A copy of how the volume is now; `completed` once it is whole. @throws AwsError InvalidVolume.NotFound */
  snapshot(volumeId: string, description: string, tags: TagList): SnapshotRecord;
  /** @throws AwsError InvalidVolume.NotFound, VolumeInUse */
  removeVolume(volumeId: string): Promise<void>;
  /** @throws AwsError InvalidSnapshot.NotFound */
  removeSnapshot(snapshotId: string): Promise<void>;
  /** Fills a new volume with its snapshot, once. @throws ContainerStartError */
  prepare(volumeId: string): Promise<void>;
  /** Ends what was begun. */
  settle(): Promise<void>;
}

export function createDisks(context: CloudContext, store: EcsStore, now: () => Date): Disks {
  const { state } = store;
  const copying = new Set<Promise<void>>();

  /** A copy that was broken off leaves nothing that looks whole. */
  async function copyFolder(from: string, to: string): Promise<void> {
    const begun = `${to}.begun`;
    await rm(begun, { recursive: true, force: true });
    await cp(from, begun, { recursive: true, preserveTimestamps: true });
    await rename(begun, to);
  }

  async function complete(snapshot: SnapshotRecord): Promise<void> {
    try {
      await copyFolder(state.volumes[snapshot.volumeId]?.directory ?? '', snapshot.directory);
      snapshot.state = 'completed';
    } catch (error) {
      snapshot.state = 'error';
      context.log('a snapshot failed', { snapshotId: snapshot.snapshotId, error: String(error) });
    }
    if (state.snapshots[snapshot.snapshotId] === undefined) await removeFolder(snapshot.directory);
    store.save();
  }

  function track(work: Promise<void>): void {
    copying.add(work);
    void work.finally(() => copying.delete(work));
  }

  // A cloud that was killed in the middle of a copy makes it again.
  for (const snapshot of Object.values(state.snapshots)) {
    if (snapshot.state === 'pending') track(complete(snapshot));
  }

  function volume(volumeId: string): VolumeRecord {
    const found = state.volumes[volumeId];
    if (found !== undefined && found.state !== 'deleted') return found;
    throw new AwsError('InvalidVolume.NotFound', `The volume '${volumeId}' does not exist.`);
  }

  return {
    volumes: () => Object.values(state.volumes).filter((one) => one.state !== 'deleted'),
    snapshots: () => Object.values(state.snapshots),
    snapshot(volumeId, description, tags) {
      const { sizeInGiB } = volume(volumeId);
      const snapshotId = `snap-${randomBytes(9).toString('hex').slice(1)}`;
      const snapshot: SnapshotRecord = {
        snapshotId,
        volumeId,
        sizeInGiB,
        description,
        tags,
        startedAt: now().getTime(),
        directory: path.join(context.stateDir, 'ecs', 'snapshots', snapshotId),
        state: 'pending',
      };
      state.snapshots[snapshotId] = snapshot;
      store.save();
      track(complete(snapshot));
      return snapshot;
    },
    async removeVolume(volumeId) {
      const found = volume(volumeId);
      if (found.state === 'in-use') {
        throw new AwsError('VolumeInUse', `Volume ${volumeId} is currently attached to a task.`);
      }
      // Its task's document still names it.
      found.state = 'deleted';
      store.save();
      await removeFolder(found.directory);
    },
    async removeSnapshot(snapshotId) {
      const found = state.snapshots[snapshotId];
      if (found === undefined) {
        throw new AwsError('InvalidSnapshot.NotFound', `The snapshot '${snapshotId}' does not exist.`);
      }
      delete state.snapshots[snapshotId];
      store.save();
      await removeFolder(found.directory);
    },
    async prepare(volumeId) {
      const { snapshotId, directory, sizeInGiB } = volume(volumeId);
      if (snapshotId === undefined || existsSync(directory)) return;
      const snapshot = state.snapshots[snapshotId];
      const problem =
        snapshot === undefined
          ? `The snapshot '${snapshotId}' does not exist.`
          : snapshot.state !== 'completed'
            ? `Snapshot '${snapshotId}' is ${snapshot.state}, not completed.`
            : sizeInGiB < snapshot.sizeInGiB
              ? `The volume must not be smaller than its snapshot (${snapshot.sizeInGiB} GiB).`
              : undefined;
      if (snapshot === undefined || problem !== undefined) {
        throw new ContainerStartError('ResourceInitializationError', `failed to create volume: ${problem}`);
      }
      await copyFolder(snapshot.directory, directory);
    },
    settle: () => Promise.all(copying).then(() => undefined),
  };
}

const removeFolder = (directory: string): Promise<void> =>
  rm(directory, { recursive: true, force: true, maxRetries: 3 });
