import * as iam from 'aws-cdk-lib/aws-iam';
import type { CellScope, StateScope } from './scope.ts';
import {
  changePlaces,
  decryptFor,
  listItems,
  listTenants,
  readItems,
  sendLooks,
  writeItems,
} from './statements.ts';

/** Records wishes and shows state. It reaches no task; CA keys are opened for the credentials route only. */
export const apiPolicy = (
  state: StateScope,
  cells: readonly CellScope[],
  bucketArn: string,
): iam.PolicyStatement[] => [
  readItems(state),
  listItems(state),
  listTenants(state),
  writeItems(state),
  changePlaces(state),
  decryptFor(state, 'ca'),
  sendLooks(cells),
  // What can be restored, by name.
  new iam.PolicyStatement({ sid: 'ListBackups', actions: ['s3:ListBucket'], resources: [bucketArn] }),
];
