import type { Ids } from '../../lambdas/core/ports.ts';

/** The same in each run: 1, 2, 3 ... in the shape of each kind. */
export function countingIds(): Ids {
  let count = 0;
  return {
    ulid: () => String(++count).padStart(26, '0'),
    memberName: () => `m${(++count).toString(36).padStart(8, '0')}`,
    clusterToken: () => (++count).toString(16).padStart(32, '0'),
  };
}
