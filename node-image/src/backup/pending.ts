import { mostRevisionsOfDelta } from '../../../lambdas/core/model/backup.ts';
import type { RevisionRecord } from './segment.ts';

/** What a change takes in memory beside its key and value. */
const changeBytes = 512;

const sizeOf = ({ changes }: RevisionRecord): number =>
  changes.reduce(
    (sum, change) =>
      sum + changeBytes + change.key.length + (change.kind === 'put' ? change.value.length : 0),
    0,
  );

export interface Limits {
  /** A segment is closed when this much waits, */
  readonly segmentBytes: number;
  /** or when the oldest of it has waited so long. */
  readonly segmentMs: number;
  /** No more is read while this much waits: etcd keeps it. */
  readonly mostBytes: number;
}

/** Changes that were seen and are in no segment yet, oldest first. One reader, one writer. */
export class Pending {
  readonly #limits: Limits;
  #records: RevisionRecord[] = [];
  #bytes = 0;
  #draining = false;
  #changed = Promise.withResolvers<void>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#records.length;
  }

  add(record: RevisionRecord): void {
    this.#records.push(record);
    this.#bytes += sizeOf(record);
    this.#tell();
  }

  /** From now on whatever waits is due at once, and `due` does not wait for more. */
  drain(): void {
    this.#draining = true;
    this.#tell();
  }

  /** Resolves when there is room for more, or nothing more is wanted. */
  async room(): Promise<void> {
    while (this.#bytes >= this.#limits.mostBytes && !this.#draining) await this.#changed.promise;
  }

  /** Resolves when a segment is to be closed: true; with false when there is nothing any more and never will be. */
  async due(nowMs: () => number): Promise<boolean> {
    for (;;) {
      const oldest = this.#records[0];
      if (this.#draining) return oldest !== undefined;
      if (oldest === undefined) {
        await this.#changed.promise;
        continue;
      }
      const waitMs = oldest.seenAtMs + this.#limits.segmentMs - nowMs();
      if (this.#bytes >= this.#limits.segmentBytes || waitMs <= 0) return true;
      let timer: NodeJS.Timeout | undefined;
      const later = new Promise<void>((resolve) => {
        // A clock that was set back must not stop the shipping.
        timer = setTimeout(resolve, Math.min(waitMs, this.#limits.segmentMs));
      });
      await Promise.race([later, this.#changed.promise]);
      clearTimeout(timer);
    }
  }

  /** Whole revisions, the oldest first, up to the size of a segment; one at least. `rest`: how many are left. */
  take(): { records: RevisionRecord[]; rest: number } {
    let bytes = 0;
    let count = 0;
    const most = Math.min(this.#records.length, mostRevisionsOfDelta);
    while (count < most && (count === 0 || bytes < this.#limits.segmentBytes)) {
      bytes += sizeOf(this.#records[count]!);
      count += 1;
    }
    const records = this.#records.splice(0, count);
    this.#bytes -= bytes;
    this.#tell();
    return { records, rest: this.#records.length };
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
