import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';

/**
 * Restores, puts to sleep and wakes up: members and workers, with the same hands as scale. What is to be restored was
 * chosen by the API; snapshots go from nanny to bucket, so it has no right to the bucket.
 */
export const restorePolicy = (state: StateScope, cell: CellScope): PolicyStatement[] =>
  workOnMembers(state, cell);
