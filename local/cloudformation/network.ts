import { physicalName, stableHex } from '../aws/names.ts';
import type { CloudContext, Provisioned, ResourceProvider, TemplateResource } from '../aws/service.ts';

type Describe = (
  resource: TemplateResource,
  id: (prefix: string) => string,
  context: CloudContext,
) => Provisioned;

const plain =
  (prefix: string, attribute?: string): Describe =>
  (_resource, id) => {
    const ref = id(prefix);
    return { ref, attributes: attribute ? { [attribute]: ref } : {} };
  };

/**
 * Types that are accepted without anything behind them, because nothing of this project's behaviour on one machine
 * depends on them: all traffic is loopback, logs are files. Every other type without a provider fails at start.
 */
export const metadataTypes: Readonly<Record<string, Describe>> = {
  'AWS::CDK::Metadata': plain('metadata'),
  'AWS::EC2::VPC': ({ properties }, id) => {
    const ref = id('vpc');
    const attributes = {
      VpcId: ref,
      CidrBlock: properties.CidrBlock,
      DefaultSecurityGroup: id('sg'),
      DefaultNetworkAcl: id('acl'),
    };
    return { ref, attributes };
  },
  'AWS::EC2::Subnet': ({ properties }, id) => {
    const ref = id('subnet');
    const { AvailabilityZone, VpcId, CidrBlock } = properties;
    return { ref, attributes: { SubnetId: ref, AvailabilityZone, VpcId, CidrBlock } };
  },
  'AWS::EC2::RouteTable': plain('rtb', 'RouteTableId'),
  'AWS::EC2::Route': plain('r'),
  'AWS::EC2::SubnetRouteTableAssociation': plain('rtbassoc', 'Id'),
  'AWS::EC2::InternetGateway': plain('igw', 'InternetGatewayId'),
  'AWS::EC2::VPCGatewayAttachment': plain('igw-attach'),
  'AWS::EC2::EIP': plain('eipalloc', 'AllocationId'),
  'AWS::EC2::NatGateway': plain('nat', 'NatGatewayId'),
  'AWS::EC2::SecurityGroup': ({ properties }, id) => {
    const ref = id('sg');
    return { ref, attributes: { GroupId: ref, Id: ref, VpcId: properties.VpcId ?? '' } };
  },
  'AWS::EC2::SecurityGroupIngress': plain('sgr', 'Id'),
  'AWS::EC2::SecurityGroupEgress': plain('sgr', 'Id'),
  'AWS::EC2::NetworkAcl': plain('acl', 'Id'),
  'AWS::EC2::NetworkAclEntry': plain('acle', 'Id'),
  'AWS::EC2::SubnetNetworkAclAssociation': plain('aclassoc', 'AssociationId'),
  'AWS::EC2::VPCEndpoint': plain('vpce', 'Id'),
  'AWS::EC2::FlowLog': plain('fl', 'Id'),
  'AWS::Logs::LogGroup': (resource, _id, { region, accountId }) => {
    const ref = resource.properties.LogGroupName ?? physicalName(resource);
    return { ref, attributes: { Arn: `arn:aws:logs:${region}:${accountId}:log-group:${ref}:*` } };
  },
  'AWS::Logs::ResourcePolicy': plain('logs-policy'),
  // CDK's own custom resource that empties the default security group's rules: there are no security groups here.
  'Custom::VpcRestrictDefaultSG': plain('restrict-default-sg'),
};

export function metadataProvider(context: CloudContext): ResourceProvider {
  return {
    types: Object.keys(metadataTypes),
    provision: async (resource) => {
      const id = (prefix: string): string =>
        `${prefix}-${stableHex(17, prefix, resource.stack, resource.logicalId)}`;
      return metadataTypes[resource.type]!(resource, id, context);
    },
    remove: async () => {},
  };
}

/** Whether an IPv4 address lies in a block such as `127.20.0.0/16`. */
export function inBlock(address: string, block: string): boolean {
  const [base = '', bits = '32'] = block.split('/');
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(address) / size) === Math.floor(number(base) / size);
}
