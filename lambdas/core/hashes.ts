import type { Observation } from './step.ts';

export interface HashVerdict {
  /** Members whose data a majority of those asked shares. Empty: no majority. */
  readonly agreed: readonly string[];
  readonly odd: readonly string[];
}

/**
 * Who is to blame for a CORRUPT alarm (etcd's own often does not say): the minority by HashKV at one revision. Hashes
 * of different compactions cannot be compared, so a member that stands alone with its own is odd only when a majority
 * of all agrees.
 */
export function judgeHashes(hashes: NonNullable<Observation['hashes']>, voters: number): HashVerdict {
  const groups = new Map<string, string[]>();
  for (const [name, { hash, compactRevision }] of Object.entries(hashes)) {
    const key = `${hash} ${compactRevision}`;
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  const [most = []] = [...groups.values()].sort((a, b) => b.length - a.length);
  if (most.length * 2 <= voters) return { agreed: [], odd: [] };
  return { agreed: most, odd: Object.keys(hashes).filter((name) => !most.includes(name)) };
}
