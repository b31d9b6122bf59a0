import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { listDisks, removeDisks } from './disks.ts';
import type { CellScope, StateScope } from './scope.ts';
import {
  changePlaces,
  decryptFor,
  describeTasks,
  listDue,
  listItems,
  listTasks,
  listTenants,
  readItems,
  sendLooks,
  writeItems,
} from './statements.ts';

/**
 * Looks at tenants whose time has come and says who has to act. Besides records it changes only disks: it removes those
 * that nobody needs any more.
 */
export const sweepPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  writeItems(state),
  changePlaces(state),
  listDue(state),
  // A fleet patch goes through all tenants, and stops when those that it has reached turn sick.
  listTenants(state),
  listItems(state),
  decryptFor(state, 'control-plane'),
  describeTasks(cell),
  // Tasks that no member owns.
  listTasks(cell),
  // Disks that nobody needs any more.
  listDisks(),
  ...removeDisks(cell),
  sendLooks([cell]),
];
