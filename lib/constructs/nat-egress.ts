import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { blockWithin } from '../cidr.ts';

export interface NatEgressProps {
  readonly vpc: ec2.Vpc;
  readonly vpcCidr: string;
  /** 3: one a zone. 1: the zone of the first is a single point of failure for starting members anywhere. */
  readonly gateways: 1 | 3;
}

/** The members' subnets take three quarters of the block; this is the fourth. */
const lastQuarter = 3;

/**
 * A way out for the members' subnets, laid over a network that stands. It adds public subnets in the quarter of the block
 * that nobody uses and default routes, and changes nothing else: a cell goes from endpoints to NAT and back without
 * touching a subnet, and so a member.
 */
export class NatEgress extends Construct {
  constructor(scope: Construct, id: string, { vpc, vpcCidr, gateways }: NatEgressProps) {
    super(scope, id);
    const gateway = new ec2.CfnInternetGateway(this, 'InternetGateway');
    const attachment = new ec2.CfnVPCGatewayAttachment(this, 'Attachment', {
      vpcId: vpc.vpcId,
      internetGatewayId: gateway.ref,
    });
    const prefix = Number(vpcCidr.split('/')[1]) + 2;
    const nats = vpc.isolatedSubnets.slice(0, gateways).map((members, index) => {
      const subnet = new ec2.PublicSubnet(this, `Public${index + 1}`, {
        vpcId: vpc.vpcId,
        availabilityZone: (members.node.defaultChild as ec2.CfnSubnet).attrAvailabilityZone,
        cidrBlock: blockWithin(vpcCidr, 28, lastQuarter * 2 ** (28 - prefix) + index),
        mapPublicIpOnLaunch: false,
      });
      subnet.addDefaultInternetRoute(gateway.ref, attachment);
      return subnet.addNatGateway();
    });
    for (const [index, members] of vpc.isolatedSubnets.entries())
      new ec2.CfnRoute(this, `Out${index + 1}`, {
        routeTableId: members.routeTable.routeTableId,
        destinationCidrBlock: '0.0.0.0/0',
        natGatewayId: (nats[index] ?? nats[0])?.ref,
      });
  }
}
