import type { Cell } from '../../lambdas/core/ports.ts';

export function testCell(over: Partial<Cell> = {}): Cell {
  return {
    id: 'cell-1',
    clusterArn: 'arn:aws:ecs:us-east-1:111122223333:cluster/cell-1',
    taskDefinitions: { ebs: 'member-ebs:1', ephemeral: 'member-ephemeral:1' },
    containerName: 'nanny',
    subnets: [
      { zone: 'us-east-1a', subnetId: 'subnet-a' },
      { zone: 'us-east-1b', subnetId: 'subnet-b' },
      { zone: 'us-east-1c', subnetId: 'subnet-c' },
    ],
    securityGroupId: 'sg-members',
    infrastructureRoleArn: 'arn:aws:iam::111122223333:role/volumes',
    namespaceId: 'ns-unknown',
    namespaceName: 'etcd-nanny.internal',
    queues: {
      create: 'http://queues/create',
      delete: 'http://queues/delete',
      sweep: 'http://queues/sweep',
      scale: 'http://queues/scale',
      patch: 'http://queues/patch',
      remediate: 'http://queues/remediate',
      backup: 'http://queues/backup',
      restore: 'http://queues/restore',
      alarms: 'http://queues/alarms',
    },
    backupBucket: 'backups',
    backupRoleArn: 'arn:aws:iam::111122223333:role/backup-access',
    ...over,
  };
}
