import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type BucketScope, listBackups } from './backup.ts';
import { copyDisks, listDisks } from './disks.ts';
import { workOnMembers } from './members.ts';
import type { CellScope, StateScope } from './scope.ts';

/**
 * Heals: the same hands as scale, and copies of the disks that members have left. Snapshots go from nanny to bucket; it only looks
 * for what could bring a cluster back of which nobody is left, by name.
 */
export const remediatePolicy = (
  state: StateScope,
  cell: CellScope,
  bucket: BucketScope,
): PolicyStatement[] => [...workOnMembers(state, cell), listDisks(), ...copyDisks(cell), listBackups(bucket)];
