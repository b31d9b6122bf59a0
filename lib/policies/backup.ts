import * as iam from 'aws-cdk-lib/aws-iam';
import { workOnTasks } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';
import { decryptFor, deleteItems, listItems, readItems, sendLooks, writeItems } from './statements.ts';

export interface BucketScope {
  readonly bucketArn: string;
  readonly cellId: string;
}

/**
 * Tells nannies to back up, knows what there is by name, and deletes what retention lets go; the bucket keeps former
 * versions. It can read no backup. Tasks are the workers of drills.
 */
export const backupPolicy = (
  state: StateScope,
  cell: CellScope,
  bucket: BucketScope,
): iam.PolicyStatement[] => [
  readItems(state),
  listItems(state),
  writeItems(state),
  // Manifests of what retention has let go.
  deleteItems(state),
  decryptFor(state, 'control-plane'),
  ...workOnTasks(cell),
  sendLooks([cell]),
  listBackups(bucket),
  new iam.PolicyStatement({
    sid: 'DeleteBackups',
    actions: ['s3:DeleteObject'],
    resources: [`${bucket.bucketArn}/${bucket.cellId}/*`],
  }),
];

/** Names only: what there is, and up to where. */
export const listBackups = ({ bucketArn, cellId }: BucketScope): iam.PolicyStatement =>
  new iam.PolicyStatement({
    sid: 'ListBackups',
    actions: ['s3:ListBucket'],
    resources: [bucketArn],
    conditions: { StringLike: { 's3:prefix': [`${cellId}/*`] } },
  });
