import { CfnOutput, Fn, Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { CellConfig, Config } from './config.ts';
import { CellEndpoints } from './constructs/cell-endpoints.ts';
import { FlowLogs } from './constructs/flow-logs.ts';
import { NatEgress } from './constructs/nat-egress.ts';
import { ports } from './ports.ts';

export interface NetworkStackProps extends StackProps {
  readonly config: Config;
  readonly cell: CellConfig;
}

/** The network of one cell: three isolated subnets, one a zone; no way in, and none out unless `egress` asks for a NAT. */
export class NetworkStack extends Stack {
  readonly vpc: ec2.Vpc;
  /** Zone and subnet, in the order of the zones. */
  readonly zones: readonly { readonly zone: string; readonly subnetId: string }[];
  readonly taskSecurityGroup: ec2.SecurityGroup;
  readonly functionSecurityGroup: ec2.SecurityGroup;
  readonly joinEndpoint: ec2.InterfaceVpcEndpoint;

  constructor(scope: Construct, id: string, props: NetworkStackProps) {
    super(scope, id, { ...props, terminationProtection: !props.config.ephemeral });
    const { cell, config } = props;

    this.vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(cell.vpcCidr),
      // Never looked up: synth needs no credentials, and the zones cannot change under a running fleet by a new lookup.
      availabilityZones: config.zones ?? [0, 1, 2].map((index) => Fn.select(index, Fn.getAzs())),
      subnetConfiguration: [{ name: 'members', subnetType: ec2.SubnetType.PRIVATE_ISOLATED }],
      // Closing the default group would take a custom resource with rights over security groups; nothing uses it.
      restrictDefaultSecurityGroup: false,
    });
    this.zones = this.vpc.isolatedSubnets.map((subnet) => ({
      // What the subnet says of itself: Fn::GetAZs may answer differently at a later deploy.
      zone: (subnet.node.defaultChild as ec2.CfnSubnet).attrAvailabilityZone,
      subnetId: subnet.subnetId,
    }));
    new FlowLogs(this, 'FlowLogs', { vpc: this.vpc, retentionDays: config.logRetentionDays });

    this.functionSecurityGroup = new ec2.SecurityGroup(this, 'FunctionSecurityGroup', {
      vpc: this.vpc,
      description: 'Control plane functions of the cell',
    });
    this.taskSecurityGroup = new ec2.SecurityGroup(this, 'TaskSecurityGroup', {
      vpc: this.vpc,
      description: 'etcd members and their nannies',
    });
    this.openMemberPorts(cell, config);

    const endpoints = new CellEndpoints(this, 'Endpoints', {
      vpc: this.vpc,
      clients: [this.functionSecurityGroup, this.taskSecurityGroup],
      forAllServices: config.egress === 'endpoints',
    });
    this.joinEndpoint = endpoints.executeApi;
    if (config.egress !== 'endpoints')
      new NatEgress(this, 'Nat', {
        vpc: this.vpc,
        vpcCidr: cell.vpcCidr,
        gateways: config.egress === 'nat' ? 3 : 1,
      });
    new CfnOutput(this, 'VpcId', { value: this.vpc.vpcId });
  }

  private openMemberPorts(cell: CellConfig, config: Config): void {
    for (const cidr of [cell.vpcCidr, ...config.clientCidrs])
      this.taskSecurityGroup.addIngressRule(
        ec2.Peer.ipv4(cidr),
        ec2.Port.tcp(ports.client),
        'etcd clients (mTLS)',
      );
    this.taskSecurityGroup.addIngressRule(
      this.functionSecurityGroup,
      ec2.Port.tcp(ports.admin),
      'Control plane to nannies (mTLS)',
    );
    this.taskSecurityGroup.addIngressRule(
      this.taskSecurityGroup,
      ec2.Port.tcp(ports.peer),
      'etcd peers (mTLS)',
    );
    this.taskSecurityGroup.addIngressRule(
      this.taskSecurityGroup,
      ec2.Port.tcp(ports.admin),
      'Nannies to each other (mTLS)',
    );
  }
}
