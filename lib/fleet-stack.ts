import { ArnFormat, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as servicediscovery from 'aws-cdk-lib/aws-servicediscovery';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { CellConfig, Config } from './config.ts';
import { JoinAddress } from './constructs/join-address.ts';
import { MemberTask } from './constructs/member-task.ts';
import { nodeImage } from './constructs/node-image.ts';
import { TaskRoles } from './constructs/task-roles.ts';
import type { NetworkStack } from './network-stack.ts';

export interface FleetStackProps extends StackProps {
  readonly config: Config;
  readonly cell: CellConfig;
  readonly network: NetworkStack;
}

/**
 * Where the members of one cell run. It knows the *address* of the join API, because task definitions carry it, but not
 * what answers there: that is the control plane's, which in turn needs this stack (docs/decisions/0030).
 */
export class FleetStack extends Stack {
  readonly cluster: ecs.Cluster;
  readonly joinAddress: JoinAddress;
  readonly roles: TaskRoles;
  readonly tasks: { readonly ebs: MemberTask; readonly ephemeral: MemberTask };
  readonly namespace: servicediscovery.PrivateDnsNamespace;

  constructor(scope: Construct, id: string, props: FleetStackProps) {
    super(scope, id, { ...props, terminationProtection: !props.config.ephemeral });
    const { cell, config, network } = props;

    this.cluster = new ecs.Cluster(this, 'Cluster', { vpc: network.vpc });
    acknowledge(
      this.cluster,
      'Container Insights bills each metric of each task; members are watched by their nannies instead.',
      'AwsSolutions-ECS4',
    );
    this.namespace = new servicediscovery.PrivateDnsNamespace(this, 'Namespace', {
      name: `${cell.id}.${config.deploymentName}.internal`,
      vpc: network.vpc,
      description: 'One name per tenant',
    });
    this.joinAddress = new JoinAddress(this, 'Join', { endpoint: network.joinEndpoint });
    this.roles = new TaskRoles(this, 'Roles', {
      nanny: { joinRouteArns: this.joinAddress.routeArns },
    });

    const logGroup = new logs.LogGroup(this, 'MemberLogs', {
      retention: config.logRetentionDays,
      removalPolicy: config.ephemeral ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
    });
    const image = nodeImage(this, config.nodeImageUri);
    const task = (volume: 'ebs' | 'ephemeral', name: string) =>
      new MemberTask(this, name, {
        volume,
        image,
        logGroup,
        roles: this.roles,
        joinUrl: this.joinAddress.url,
      });
    this.tasks = { ebs: task('ebs', 'EbsTask'), ephemeral: task('ephemeral', 'EphemeralTask') };

    new CfnOutput(this, 'ClusterName', { value: this.cluster.clusterName });
    new CfnOutput(this, 'NamespaceName', { value: this.namespace.namespaceName });
    new CfnOutput(this, 'JoinUrl', { value: this.joinAddress.url });
    new CfnOutput(this, 'MemberLogGroup', { value: logGroup.logGroupName });
    new CfnOutput(this, 'NodeImageUri', { value: this.tasks.ebs.imageUri });
  }

  /** Families instead of revisions: a deploy must not take away the right to start what is being started. */
  get taskDefinitionFamilies(): string[] {
    return [this.tasks.ebs, this.tasks.ephemeral].map((task) => task.family);
  }

  /** Start of the ARNs of all tasks of the cell. */
  get taskArnPrefix(): string {
    const arnFormat = ArnFormat.SLASH_RESOURCE_NAME;
    return this.formatArn({
      service: 'ecs',
      resource: 'task',
      resourceName: `${this.cluster.clusterName}/`,
      arnFormat,
    });
  }

  get passableRoles(): { readonly tasks: iam.IRole[]; readonly infrastructure: iam.IRole } {
    return { tasks: [this.roles.task, this.roles.execution], infrastructure: this.roles.infrastructure };
  }
}
