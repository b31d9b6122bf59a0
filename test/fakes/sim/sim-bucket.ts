import { deltaName } from '../../../lambdas/core/model/backup.ts';
import type { BackupObjects, StoredObject } from '../../../lambdas/core/ports.ts';
import type { WorkOrder, WorkProgress } from '../../../lambdas/core/wire/work.ts';

/** The backup bucket as far as restores need it: what revision each object holds, and how far segments go on. */
export class SimBucket implements BackupObjects {
  /** Highest revision in a snapshot, by key. */
  readonly objects = new Map<string, number>();
  /** Last revision of the segments below a prefix. */
  readonly deltas = new Map<string, number>();
  /** What the next workers tell instead of a result. */
  readonly failures: Extract<WorkProgress, { state: 'failed' }>[] = [];
  /** Revision on the disk that a worker began with, by its name; undefined: none. */
  readonly disks = new Map<string, number | undefined>();

  async list(prefix: string, options: { readonly after?: string } = {}): Promise<StoredObject[]> {
    const shipped = [...this.deltas.keys()].map((at) => this.segmentBelow(at));
    return [...this.objects.keys(), ...shipped]
      .filter((key) => key.startsWith(prefix) && (options.after === undefined || key > options.after))
      .sort()
      .map((key) => ({ key, bytes: 1_000 }));
  }

  async exists(key: string): Promise<boolean> {
    return this.objects.has(key);
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.objects.delete(key);
      for (const prefix of this.deltas.keys())
        if (this.segmentBelow(prefix) === key) this.deltas.delete(prefix);
    }
  }

  /** The one segment there is below the prefix; a restarted holder's name for it is another one. */
  segmentBelow(prefix: string): string {
    return `${prefix}${deltaName(1, this.deltas.get(prefix) ?? 0, '0'.repeat(26))}`;
  }

  #usable({ prefix, except }: NonNullable<WorkOrder['deltas']>): number | undefined {
    return except?.includes(this.segmentBelow(prefix)) ? undefined : this.deltas.get(prefix);
  }

  /** What a worker makes of its order. `disk`: the revision on its own volume. */
  work(order: WorkOrder, disk?: number): { progress: WorkProgress; problem?: string } {
    const failure = this.failures.shift();
    if (failure !== undefined) return { progress: failure };
    const { source } = order;
    const found = source.kind === 'full' ? this.objects.get(source.key) : disk;
    if (found === undefined) {
      const problem = source.kind === 'full' ? `${source.key} is not there` : 'there is no data on the disk';
      return {
        progress: { state: 'failed', code: source.kind === 'full' ? 'damaged' : 'unusable', problem },
      };
    }
    const begin = found + (source.kind === 'full' ? (source.bumpRevision ?? 0) : 0);
    const shipped = (order.deltas && this.#usable(order.deltas)) ?? begin;
    const end = Math.max(begin, shipped);
    const revision = Math.min(end, order.until?.revision ?? end);
    const { output: asked } = order;
    const output = asked && revision > (asked.above ?? -1) ? asked : undefined;
    const problem =
      output !== undefined && this.objects.has(output.key) ? `S7: ${output.key} is written over` : undefined;
    if (output !== undefined) this.objects.set(output.key, revision);
    return {
      progress: {
        state: 'done',
        result: {
          revision,
          keys: 3,
          hash: revision % 1_000,
          compactRevision: order.compactRevision ?? 0,
          replayed: Math.max(0, revision - begin),
          leases: 0,
          seconds: 2,
          ...(output && { output: { key: output.key, sha256: 'e'.repeat(64), bytes: 2_000_000 } }),
        },
      },
      ...(problem !== undefined && { problem }),
    };
  }
}
