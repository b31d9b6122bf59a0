import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';

/** Heals: the same hands as scale. Snapshots go from nanny to bucket, so it has no right to the bucket. */
export const remediatePolicy = (state: StateScope, cell: CellScope): PolicyStatement[] =>
  workOnMembers(state, cell);
