import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { type NannyScope, nannyPolicy } from '../policies/nanny.ts';
import { acknowledgeWildcards } from '../policies/wildcards.ts';

export interface TaskRolesProps {
  readonly nanny: NannyScope;
}

/** The three roles of a member's task. */
export class TaskRoles extends Construct {
  /** What the nanny is: its session name is the task id, by which join knows it. */
  readonly task: iam.Role;
  /** With which ECS pulls the image and writes logs. */
  readonly execution: iam.Role;
  /** With which ECS makes, attaches and deletes EBS volumes. */
  readonly infrastructure: iam.Role;

  constructor(scope: Construct, id: string, props: TaskRolesProps) {
    super(scope, id);
    const ecsTasks = new iam.ServicePrincipal('ecs-tasks.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
    });
    this.task = new iam.Role(this, 'Task', { assumedBy: ecsTasks, description: 'etcd-nanny: nannies' });
    const statements = nannyPolicy(props.nanny);
    for (const statement of statements) this.task.addToPolicy(statement);
    acknowledgeWildcards(this.task, statements);
    this.execution = new iam.Role(this, 'Execution', {
      assumedBy: ecsTasks,
      description: 'etcd-nanny: ECS starts members',
    });
    acknowledge(
      this.execution,
      'ecr:GetAuthorizationToken knows no resource; pulling is bound to the one repository.',
      'AwsSolutions-IAM5[Resource::*]',
    );
    this.infrastructure = new iam.Role(this, 'Infrastructure', {
      assumedBy: new iam.ServicePrincipal('ecs.amazonaws.com'),
      description: 'etcd-nanny: ECS manages the disks of members',
      managedPolicies: [
        iam.ManagedPolicy.fromAwsManagedPolicyName(
          'service-role/AmazonECSInfrastructureRolePolicyForVolumes',
        ),
      ],
    });
    acknowledge(
      this.infrastructure,
      'AWS keeps this policy in step with what ECS does to volumes, and limits it to volumes that ECS tagged as its own.',
      'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonECSInfrastructureRolePolicyForVolumes]',
    );
  }
}
