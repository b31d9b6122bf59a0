import type { Cell, Disk, Volumes } from '../../lambdas/core/ports.ts';

type Known = Omit<Disk, 'state'>;
interface Entry {
  readonly disk: Known;
  taskArn?: string | undefined;
  /** What its etcd had applied. */
  revision: number;
}
interface Copy {
  readonly snapshotId: string;
  readonly disk: Known;
  readonly revision: number;
  ready: boolean;
}

/** Disks of tasks, and those that a test has left behind. */
export class FakeVolumes implements Volumes {
  readonly #disks = new Map<string, Entry>();
  readonly #copies = new Map<string, Copy>();
  /** In the order in which they were removed. */
  readonly removed: string[] = [];
  /** Copies are whole with the n-th question. @default never by themselves */
  copyPolls = Number.POSITIVE_INFINITY;
  readonly #polls = new Map<string, number>();

  keep(disk: Known, revision = 0): void {
    this.#disks.set(disk.volumeId, { disk, revision });
  }

  attach(disk: Known, taskArn: string): void {
    this.#disks.set(disk.volumeId, { disk, taskArn, revision: 0 });
  }

  /** Its task has stopped. */
  release(taskArn: string, keep: boolean, revision: number): void {
    for (const [volumeId, entry] of this.#disks) {
      if (entry.taskArn !== taskArn) continue;
      if (keep) Object.assign(entry, { taskArn: undefined, revision });
      else this.#disks.delete(volumeId);
    }
  }

  /** Copies that were begun are whole. */
  finishCopies(): void {
    for (const copy of this.#copies.values()) copy.ready = true;
  }

  revisionOf(snapshotId: string): number | undefined {
    return [...this.#copies.values()].find((copy) => copy.snapshotId === snapshotId)?.revision;
  }

  /** Somebody else has removed it. */
  lose(volumeId: string): void {
    this.#disks.delete(volumeId);
  }

  /** What is on it is another revision. */
  write(volumeId: string, revision: number): void {
    this.#disks.get(volumeId)!.revision = revision;
  }

  async list(_cell: Cell, tenantId: string): Promise<Disk[]> {
    return this.#all().filter((disk) => disk.tenantId === tenantId);
  }

  async listKept(): Promise<Disk[]> {
    return this.#all().filter(({ state }) => state !== 'attached');
  }

  #all(): Disk[] {
    const there = [...this.#disks.values()].map(
      ({ disk, taskArn }): Disk => ({ ...disk, state: taskArn === undefined ? 'kept' : 'attached' }),
    );
    const gone = [...this.#copies.values()]
      .filter(({ disk }, index, all) => all.findIndex((one) => one.disk.volumeId === disk.volumeId) === index)
      .filter(({ disk }) => !this.#disks.has(disk.volumeId))
      .map(({ disk }): Disk => ({ ...disk, state: 'gone' }));
    return [...there, ...gone].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async copy(
    _cell: Cell,
    { volumeId }: Disk,
    purpose: string,
  ): Promise<{ snapshotId: string; ready: boolean } | undefined> {
    const key = `${volumeId} ${purpose}`;
    const entry = this.#disks.get(volumeId);
    const known =
      this.#copies.get(key) ??
      (entry && {
        snapshotId: `snap-${this.#copies.size + 1}-of-${volumeId}`,
        disk: entry.disk,
        revision: entry.revision,
        ready: false,
      });
    if (known === undefined) return undefined;
    this.#copies.set(key, known);
    const polls = (this.#polls.get(key) ?? 0) + 1;
    this.#polls.set(key, polls);
    known.ready ||= polls >= this.copyPolls;
    return { snapshotId: known.snapshotId, ready: known.ready };
  }

  async remove(_cell: Cell, volumeId: string): Promise<void> {
    if (this.#disks.get(volumeId)?.taskArn !== undefined) throw new Error(`${volumeId} is in use`);
    this.#disks.delete(volumeId);
    for (const [key, { disk }] of this.#copies) if (disk.volumeId === volumeId) this.#copies.delete(key);
    this.removed.push(volumeId);
  }
}
