import { expect, test } from 'vitest';
import { revisionsBeyond } from '../../lambdas/core/restore/source.ts';

test.each([
  ['nothing', 1_500, 1_500, 0],
  ['the same incarnation', 1_200, 1_500, 300],
  ['an incarnation later: revisions were bumped, not written', 1_200, 1_000_001_500, 300],
  ['two bumps at once', 1_200, 2_000_001_500, 300],
  ['a state that the cluster has left behind, further than it is now', 9_000, 1_000_001_500, 0],
  ['the record is behind', 1_500, 1_200, 0],
])(
  'what a cluster has beyond a state is counted without the gaps between incarnations: %s',
  (_, revision, known, lost) => {
    expect(revisionsBeyond(revision, known)).toBe(lost);
  },
);
