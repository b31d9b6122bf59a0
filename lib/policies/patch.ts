import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';
import { encryptFor } from './statements.ts';

/**
 * Brings members to another version, image or certificate authority: the same hands as scale. It may seal a new CA's key
 * but not open it again.
 */
export const patchPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  ...workOnMembers(state, cell),
  encryptFor(state, 'ca', 'control-plane'),
];
