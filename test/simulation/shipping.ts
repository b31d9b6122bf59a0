import type { Bucket, Snapshot } from './bucket.ts';
import type { Node } from './node.ts';
import type { Disk, Raft } from './raft.ts';

/** All that a member has applied. */
export const stateOf = (raft: Raft, disk: Disk): Snapshot => ({
  content: raft.content(disk),
  revision: raft.baseRevision + disk.writes,
});

/**
 * What its etcd has applied is in S3 a moment later, as far as it is told to ship. One that ends may take a segment with it
 * that was not closed: so many changes, but nothing that it has told of.
 */
export function ship({ shipping, raft, disk }: Node, bucket: Bucket, open = (): number => 0): void {
  if (!shipping?.order.ship || !raft || !disk?.up || !disk.opened) return;
  const { prefix, afterRevision } = shipping.order;
  const { content, revision } = stateOf(raft, disk);
  const missing = Math.max(0, Math.min(revision - shipping.revision, open()));
  bucket.ship(prefix, afterRevision + 1, {
    content: content.slice(0, content.length - missing),
    revision: revision - missing,
  });
}
