import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { CellScope, StateScope } from './scope.ts';
import { decryptFor, describeTasks, lendBackups, readItems, sendLooks, writeItems } from './statements.ts';

/** Proves who a nanny is against ECS, signs its certificates, writes down what it reports, lends it access to its backups. */
export const joinPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  writeItems(state),
  decryptFor(state, 'ca'),
  describeTasks(cell),
  lendBackups(cell),
  sendLooks([cell]),
];
