import * as iam from 'aws-cdk-lib/aws-iam';
import type { CellScope } from './scope.ts';

/** Disks that outlived their tasks. ECS tags each with the cell when it is made; whatever is not tagged is not ours. */
const allow = (
  sid: string,
  actions: string[],
  resources: string[],
  conditions?: Record<string, Record<string, string>>,
) => new iam.PolicyStatement({ sid, actions, resources, ...(conditions ? { conditions } : {}) });

const ofCell = (cell: CellScope) => ({ StringEquals: { 'aws:ResourceTag/etcd-nanny:cell': cell.cellId } });

export const listDisks = () => allow('ListDisks', ['ec2:DescribeSnapshots', 'ec2:DescribeVolumes'], ['*']);

/** Copies only: nothing is taken away and nothing is attached by it. */
export const copyDisks = (cell: CellScope): iam.PolicyStatement[] => [
  allow('CopyDisks', ['ec2:CreateSnapshot'], [cell.volumeArns], ofCell(cell)),
  allow('NewCopies', ['ec2:CreateSnapshot'], [cell.snapshotArns], {
    StringEquals: { 'aws:RequestTag/etcd-nanny:cell': cell.cellId },
  }),
  allow('TagNewCopies', ['ec2:CreateTags'], [cell.snapshotArns], {
    StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' },
  }),
];

/** Of each kind its own: one statement for both would also give what there is not, such as DeleteVolume on snapshots. */
export const removeDisks = (cell: CellScope): iam.PolicyStatement[] => [
  allow('RemoveDisks', ['ec2:DeleteVolume'], [cell.volumeArns], ofCell(cell)),
  allow('RemoveCopies', ['ec2:DeleteSnapshot'], [cell.snapshotArns], ofCell(cell)),
];
