import type { UnusedRights } from './compare.ts';

/**
 * Rights that no end-to-end topic has used, and why they stay. An entry whose rights are all used fails the test, as does a
 * right that is neither used nor here. Whoever gives a right looks here; whoever finds no reason takes it away.
 */
export const unusedRights: readonly UnusedRights[] = [
  // AWS itself, in the name of the role: nothing on the local cloud asks for these.
  {
    sid: 'NetworkInterfaces',
    actions: ['ec2:AssignPrivateIpAddresses', 'ec2:UnassignPrivateIpAddresses', 'ec2:DescribeSubnets'],
    reason: 'Lambda wants them all to put a function into a VPC (its developer guide), and asks only on AWS.',
  },
  {
    sid: 'FindZone',
    reason: 'Cloud Map looks for the hosted zone by itself, with the rights of its caller, and only on AWS.',
  },
  {
    sid: '-',
    actions: ['sqs:ChangeMessageVisibility', 'sqs:GetQueueUrl'],
    reason:
      'CDK gives them with the event source; Lambda gives failed messages of a batch back by the first.',
  },
  {
    roles: ['RolesExecution'],
    sid: '-',
    actions: ['logs:PutLogEvents'],
    reason: 'The awslogs driver of Fargate; the local cloud keeps the output of tasks in files.',
  },
  {
    roles: ['FlowLogsRejectedIAMRole'],
    sid: '-',
    reason: 'VPC flow logs; the local cloud has no packets to tell of.',
  },
  // One right to tell others of a tenant. Which of them is told is the record's to say.
  {
    sid: 'SendLooks',
    reason:
      'Who has to act is read from the record (core/duty.ts), so every function may come to tell any other. A look carries ' +
      'no command: the worst that it can do is to have a tenant looked at.',
  },
  // Faults and choices that no topic brings about.
  {
    sid: 'RunTasks',
    resource: 'EphemeralTask',
    reason: 'A tenant may have volume ephemeral or ebs; a topic has one of the two.',
  },
  {
    roles: ['CellC1BackupRole'],
    sid: 'RunTasks',
    resource: 'EbsTask',
    reason: 'Workers of drills have ephemeral disks; one with a copy of a kept disk has EBS.',
  },
  {
    roles: ['CellC1BackupRole'],
    sid: 'PassInfrastructureRole',
    reason: 'Goes with a task that has an EBS volume: as above.',
  },
  {
    roles: ['CellC1BackupRole'],
    sid: 'ListTasks',
    reason:
      'Only after a crash between RunTask and the save: simulated (test/lambdas/restore/crash.test.ts).',
  },
  {
    roles: ['CellC1BackupRole'],
    sid: 'DeleteBackups',
    reason:
      'Retention lets nothing go within the minutes of a topic; in fast tests with virtual time it does.',
  },
  {
    roles: ['CellC1ScaleRole', 'CellC1PatchRole', 'CellC1RestoreRole', 'CellC1RemediateRole'],
    sid: 'ListDue',
    reason: 'Rule S8 counts the tenants of the cell only when three or more are sick at once.',
  },
  {
    roles: ['CellC1BackupAccessRole'],
    sid: 'Backups',
    actions: ['s3:AbortMultipartUpload'],
    reason:
      'A nanny takes back a large upload that broke off; databases of topics are smaller than one part.',
  },
  {
    roles: ['CellC1BackupAccessRole'],
    sid: 'ListBackups',
    actions: ['s3:ListBucketMultipartUploads'],
    reason: 'As above: a nanny that was started again looks for uploads that its predecessor left open.',
  },
  {
    sid: 'RemoveCopies',
    reason:
      'Copies of disks are made by a recovery from kept disks and go a day later; fast tests have that day.',
  },
  {
    roles: ['CellC1RestoreRole'],
    sid: 'ListItems',
    reason:
      'Rule S8 asks who is sick before a member is removed: here only one whose task ended before the new cluster had formed.',
  },
  {
    roles: ['ApiRole'],
    sid: 'WriteLogs',
    reason: 'It only tells of what goes wrong in it, and in no topic anything did.',
  },
  {
    roles: ['CellC1SweepRole'],
    sid: 'ChangePlaces',
    reason:
      'Only when the places of a cell and its tenants differ, looked at every ten minutes: fast tests (test/lambdas/sweep).',
  },
  {
    roles: ['TenantGuardRole'],
    sid: 'ListTenants',
    reason:
      'Asked when somebody deletes the control plane: test/lambdas/guard, and the end of topic tenant-as-code.',
  },
];
