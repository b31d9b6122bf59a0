import { deltaName } from '../../lambdas/core/model/backup.ts';
import type { BackupObjects, StoredObject } from '../../lambdas/core/ports.ts';

export interface Snapshot {
  /** Writes, by their numbers. */
  readonly content: readonly number[];
  readonly revision: number;
}

/** A tenant's part of the backup bucket: S3 is always there, in this world, and nothing in it goes bad. */
export class Bucket implements BackupObjects {
  readonly #now: () => number;
  readonly #snapshots = new Map<string, { readonly snapshot: Snapshot; readonly doneAt: number }>();
  /** What was shipped below a prefix, up to its last change; and where the first segment begins. */
  readonly #segments = new Map<string, Snapshot & { readonly first: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Under the key, or on its way there. */
  at(key: string): { readonly snapshot: Snapshot; readonly doneAt: number } | undefined {
    return this.#snapshots.get(key);
  }

  put(key: string, snapshot: Snapshot, doneAt: number): void {
    this.#snapshots.set(key, { snapshot, doneAt });
  }

  /** All changes of a chain up to this state; whoever is behind adds nothing. */
  ship(prefix: string, first: number, state: Snapshot): void {
    const before = this.#segments.get(prefix);
    if (state.revision < first || (before && before.revision >= state.revision)) return;
    this.#segments.set(prefix, { ...state, first: before?.first ?? first });
  }

  /** A full backup, restored; undefined: there is none under this key. */
  full(key: string, bump = 0): Snapshot | undefined {
    const stored = this.#snapshots.get(key);
    if (stored === undefined || stored.doneAt > this.#now()) return undefined;
    const { content, revision } = stored.snapshot;
    return { content, revision: revision + bump };
  }

  /** With the segments behind it, up to a revision; undefined: one that is needed is not there. */
  replay(begin: Snapshot, prefix: string, until = Number.POSITIVE_INFINITY): Snapshot | undefined {
    const shipped = this.#segments.get(prefix);
    if (shipped === undefined || shipped.revision <= begin.revision || until <= begin.revision) return begin;
    if (shipped.first > begin.revision + 1) return undefined;
    const revision = Math.min(until, shipped.revision);
    // Each revision is one write.
    const content = shipped.content.slice(0, shipped.content.length - (shipped.revision - revision));
    return { revision, content };
  }

  async list(prefix: string, options: { readonly after?: string } = {}): Promise<StoredObject[]> {
    const fulls = [...this.#snapshots].flatMap(([key, { doneAt }]) => (doneAt > this.#now() ? [] : [key]));
    const deltas = [...this.#segments].map(
      ([at, { first, revision }]) => `${at}${deltaName(first, revision, '0'.repeat(26))}`,
    );
    return [...fulls, ...deltas]
      .filter((key) => key.startsWith(prefix) && (options.after === undefined || key > options.after))
      .sort()
      .map((key) => ({ key, bytes: 1_000 }));
  }

  async exists(key: string): Promise<boolean> {
    return (this.#snapshots.get(key)?.doneAt ?? Number.POSITIVE_INFINITY) <= this.#now();
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#snapshots.delete(key);
  }
}
