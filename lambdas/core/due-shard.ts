export const dueShards = 16;

/**
 * Shard (0..15) of the due index that a tenant belongs to: FNV-1a of its id. Part of the stored format: it must give
 * the same answer for ever, else a tenant would be looked for in the wrong shard.
 */
export function dueShard(tenantId: string): number {
  let hash = 0x811c9dc5;
  for (const character of tenantId) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return (hash >>> 0) % dueShards;
}
