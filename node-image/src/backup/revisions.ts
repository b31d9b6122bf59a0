import type { WatchResponse } from '../etcd/messages.ts';
import type { Change, RevisionRecord } from './segment.ts';

const deleted = 1;

interface OpenRecord extends RevisionRecord {
  readonly changes: Change[];
}

/** Puts the changes of a watch together by revision, however etcd divides them over its answers. */
export class Revisions {
  #open: OpenRecord | undefined;

  /** Those that are whole now. */
  next({ events, fragment }: WatchResponse, seenAtMs: number): RevisionRecord[] {
    const whole: RevisionRecord[] = [];
    let open = this.#open;
    for (const { type, kv } of events) {
      const { key, value, lease, modRevision } = kv!;
      const revision = Number(modRevision);
      if (open?.revision !== revision) {
        if (open !== undefined) whole.push(open);
        open = { revision, seenAtMs, changes: [] };
      }
      open.changes.push(type === deleted ? { kind: 'delete', key } : { kind: 'put', key, value, lease });
    }
    if (open !== undefined && !fragment) {
      whole.push(open);
      open = undefined;
    }
    this.#open = open;
    return whole;
  }
}
