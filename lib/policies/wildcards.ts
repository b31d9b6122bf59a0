import { Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import { acknowledge } from '../acknowledge.ts';

/** Why a statement's resource cannot be one ARN, by Sid. A wildcard without a reason here fails the synth. */
const reasons: Readonly<Record<string, string>> = {
  NetworkInterfaces:
    'Lambda makes network interfaces of its own naming; these calls know no narrower resource.',
  RunTasks: 'Any revision of the two families of this cell, bound to its cluster by ecs:cluster.',
  TagNewTasks: 'Task ids are not known before; ecs:CreateAction allows it as a part of RunTask only.',
  DescribeTasks: 'Task ids are not known before; bound to the cluster by ecs:cluster.',
  ListTasks: 'ListTasks knows no resource; bound to the cluster by ecs:cluster.',
  StopTasks: 'Task ids are not known before; bound to the cluster by ecs:cluster.',
  Backups:
    'Keys carry tenant, incarnation and backup; bound to the prefix of the cell, and each session to one tenant.',
  DeleteBackups: 'Keys carry tenant, incarnation and revision; bound to the prefix of the cell.',
  ListDisks: 'Describe calls of EC2 know no resource; they read names, sizes and tags only.',
  CopyDisks: 'EC2 chooses the ids of volumes; bound to those of the cell by aws:ResourceTag.',
  NewCopies: 'The snapshot does not exist yet; bound to the tag that it has to be made with.',
  TagNewCopies:
    'The snapshot does not exist yet; ec2:CreateAction allows it as a part of CreateSnapshot only.',
  RemoveDisks: 'EC2 chooses the ids of volumes; bound to those of the cell by aws:ResourceTag.',
  RemoveCopies: 'EC2 chooses the ids of snapshots; bound to those of the cell by aws:ResourceTag.',
  CreateNames: 'The service does not exist yet; bound to the namespace by servicediscovery:NamespaceArn.',
  ListAddresses: 'ListInstances knows no resource; it reads addresses only.',
  AddAddresses: 'Cloud Map chooses the ids of services.',
  RemoveAddresses: 'Cloud Map chooses the ids of services.',
  DeleteNames: 'Cloud Map chooses the ids of services.',
  ListAlarms: 'Looking for alarms by the beginning of their names wants the right to all; it reads only.',
  ReadMetrics: 'Metrics have no ARN; it reads figures only.',
  WriteTenantAlarms: 'Tenants are not known before; bound to names that begin with the deployment.',
  FindZone: 'Cloud Map looks for the hosted zone with the rights of its caller, by name.',
};

export function acknowledgeWildcards(role: iam.Role, statements: readonly iam.PolicyStatement[]): void {
  const stack = Stack.of(role);
  for (const statement of statements) {
    const reason = reasons[statement.sid ?? ''];
    if (reason === undefined) continue;
    const resources = statement.resources.map((resource) => flatten(stack.resolve(resource)));
    for (const resource of resources.filter((text) => text.includes('*')))
      acknowledge(role, `${statement.sid}: ${reason}`, `AwsSolutions-IAM5[Resource::${resource}]`);
  }
}

/** An ARN with intrinsic functions as cdk-nag writes it in the id of a finding. */
function flatten(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref: ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  if (ref !== undefined) return `<${ref}>`;
  return join === undefined ? JSON.stringify(value) : join[1].map(flatten).join(join[0]);
}
