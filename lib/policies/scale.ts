import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';

/** Grows, shrinks and replaces. It can neither make nor remove a name, and opens no CA key. */
export const scalePolicy = (state: StateScope, cell: CellScope): PolicyStatement[] =>
  workOnMembers(state, cell);
