import { TransientError } from '../../lambdas/core/errors.ts';
import type { Cell, Disk, Volumes } from '../../lambdas/core/ports.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { Snapshot } from './bucket.ts';
import { isAlive, type Task } from './fargate.ts';
import type { Random } from './random.ts';

/** What is on a volume; undefined: nothing that an etcd could be started on. */
export type Content = Snapshot | undefined;

export interface VolumesOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  /** Of the task's member, now. */
  readonly contentOf: (task: Task) => Content;
  /** How long a copy takes, ms; undefined: the call fails. */
  readonly copying: () => number | undefined;
  /** Told before it happens. */
  readonly removing: (task: Task) => void;
}

interface Volume {
  readonly volumeId: string;
  readonly task: Task;
  readonly createdAt: string;
  state: 'attached' | 'kept' | 'removed';
}

interface Copy {
  readonly snapshotId: string;
  readonly volume: Volume;
  readonly content: Content;
  readonly readyAt: number;
}

/** EBS: disks that outlive their tasks, and copies of them that take their time. */
export class SimVolumes implements Volumes {
  readonly #volumes = new Map<string, Volume>();
  readonly #copies = new Map<string, Copy>();
  readonly #o: VolumesOptions;

  constructor(options: VolumesOptions) {
    this.#o = options;
  }

  attach(task: Task): void {
    const volumeId = `vol-${task.memberName}`;
    const createdAt = this.#o.clock.now().toISOString();
    this.#volumes.set(volumeId, { volumeId, task, createdAt, state: 'attached' });
  }

  /** Its task is STOPPED: it comes off it a while later, if there is anything left of it. */
  release(task: Task): void {
    const volume = this.#volumes.get(`vol-${task.memberName}`);
    if (volume === undefined) return;
    const free = (): void => {
      volume.state = task.diskStays ? 'kept' : 'removed';
    };
    if (this.#o.random.chance(0.5)) free();
    else this.#o.clock.at(this.#o.random.int(100, 20_000), free);
  }

  /** On the copy that a task begins with. */
  onCopy(snapshotId: string): Content {
    return [...this.#copies.values()].find((copy) => copy.snapshotId === snapshotId)?.content;
  }

  /** Of members, and workers, that are no more; with nobody's tasks attached. */
  left(tenantId: string): string[] {
    return [...this.#volumes.values()]
      .filter(({ task, state }) => task.tenantId === tenantId && state === 'kept' && !isAlive(task))
      .map(({ volumeId }) => volumeId);
  }

  async list(_cell: Cell, tenantId: string): Promise<Disk[]> {
    return this.#all().filter((disk) => disk.tenantId === tenantId);
  }

  async listKept(): Promise<Disk[]> {
    return this.#all().filter(({ state }) => state !== 'attached');
  }

  async copy(_cell: Cell, { volumeId }: Disk, purpose: string) {
    const ms = this.#o.copying();
    if (ms === undefined) throw new TransientError('SnapshotCreationPerVolumeRateExceeded');
    const now = this.#o.clock.now().getTime();
    const key = `${volumeId} ${purpose}`;
    let copy = this.#copies.get(key);
    if (copy === undefined) {
      const volume = this.#volumes.get(volumeId);
      if (volume === undefined || volume.state === 'removed') return undefined;
      const snapshotId = `snap-${this.#copies.size + 1}`;
      copy = { snapshotId, volume, content: this.#o.contentOf(volume.task), readyAt: now + ms };
      this.#copies.set(key, copy);
    }
    return { snapshotId: copy.snapshotId, ready: copy.readyAt <= now };
  }

  async remove(_cell: Cell, volumeId: string): Promise<void> {
    const volume = this.#volumes.get(volumeId);
    if (volume?.state === 'attached') throw new Error(`${volumeId} is in use`);
    if (volume?.state === 'kept') {
      this.#o.removing(volume.task);
      volume.state = 'removed';
    }
    for (const [key, copy] of this.#copies) if (copy.volume.volumeId === volumeId) this.#copies.delete(key);
  }

  #all(): Disk[] {
    const copied = new Set([...this.#copies.values()].map(({ volume }) => volume));
    return [...this.#volumes.values()].flatMap((volume): Disk[] => {
      const { volumeId, createdAt, task } = volume;
      const state = volume.state === 'removed' ? 'gone' : volume.state;
      if (state === 'gone' && !copied.has(volume)) return [];
      return [{ volumeId, state, createdAt, tenantId: task.tenantId, memberName: task.memberName }];
    });
  }
}
