import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';

/** Brings members to another version or image: the same hands as scale. */
export const patchPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] =>
  workOnMembers(state, cell);
