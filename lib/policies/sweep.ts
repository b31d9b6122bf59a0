import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { CellScope, StateScope } from './scope.ts';
import {
  decryptFor,
  describeTasks,
  listDue,
  listTasks,
  readItems,
  sendLooks,
  writeItems,
} from './statements.ts';

/** Looks at tenants whose time has come and says who has to act. It changes nothing but records. */
export const sweepPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  writeItems(state),
  listDue(state),
  decryptFor(state, 'control-plane'),
  describeTasks(cell),
  // Tasks that no member owns.
  listTasks(cell),
  sendLooks([cell]),
];
