import { beforeAll, describe, expect, it } from 'vitest';
import { flat, lastingContext, localContext, type Synthesized, synthesize } from '../synth.ts';

let app: Synthesized;
beforeAll(async () => {
  app = await synthesize(lastingContext);
});

describe('the network of a cell', () => {
  it('has exactly three subnets, one in each of the named zones, inside the block', () => {
    const subnets = app.of('AWS::EC2::Subnet').map(({ Properties }) => Properties);
    expect(subnets.map((subnet) => subnet.AvailabilityZone)).toEqual([
      'eu-west-1a',
      'eu-west-1b',
      'eu-west-1c',
    ]);
    expect(subnets.map((subnet) => subnet.CidrBlock)).toEqual([
      '10.42.0.0/18',
      '10.42.64.0/18',
      '10.42.128.0/18',
    ]);
    expect(subnets.every((subnet) => subnet.MapPublicIpOnLaunch === false)).toBe(true);
  });

  it('lets CloudFormation choose the zones when none are named', async () => {
    const anywhere = await synthesize(localContext);
    const zones = anywhere.of('AWS::EC2::Subnet').map(({ Properties }) => Properties.AvailabilityZone);
    expect(zones).toEqual([0, 1, 2].map((index) => ({ 'Fn::Select': [index, { 'Fn::GetAZs': '' }] })));
  });

  it('may be a loopback block: the local cloud gives each task an address of its own', async () => {
    const local = await synthesize(localContext);
    const blocks = local.of('AWS::EC2::Subnet').map(({ Properties }) => Properties.CidrBlock);
    expect(blocks).toEqual(['127.43.0.0/18', '127.43.64.0/18', '127.43.128.0/18']);
  });

  it('has no way to the internet', () => {
    for (const type of ['AWS::EC2::InternetGateway', 'AWS::EC2::NatGateway', 'AWS::EC2::Route'])
      expect(app.of(type)).toEqual([]);
  });

  it('reaches the services that tasks and functions call, and no other', () => {
    const services = app.of('AWS::EC2::VPCEndpoint').map(({ Properties }) => {
      const name = Properties.ServiceName;
      return `${Properties.VpcEndpointType} ${flat(name).replace(/^com\.amazonaws\.<AWS::Region>\./, '')}`;
    });
    expect(services.sort()).toEqual([
      'Gateway dynamodb',
      'Gateway s3',
      'Interface ec2',
      'Interface ecr.api',
      'Interface ecr.dkr',
      'Interface ecs',
      'Interface execute-api',
      'Interface kms',
      'Interface logs',
      'Interface servicediscovery',
      'Interface sqs',
    ]);
  });

  it('opens the client port to the cell and the named networks, the other ports to our own groups only', () => {
    const group = app
      .of('AWS::EC2::SecurityGroup')
      .find(({ Properties }) => Properties.GroupDescription.startsWith('etcd members'));
    const blocks = group?.Properties.SecurityGroupIngress.map(
      (rule: { CidrIp: string; FromPort: number }) => [rule.FromPort, rule.CidrIp],
    );
    expect(blocks).toEqual([
      [2379, '10.42.0.0/16'],
      [2379, '10.9.0.0/16'],
    ]);
    const fromGroups = app
      .of('AWS::EC2::SecurityGroupIngress')
      .filter(({ Properties }) => flat(Properties.GroupId) === `<${group?.logicalId}.GroupId>`)
      .map(({ Properties }) => [
        Properties.FromPort,
        Properties.ToPort,
        flat(Properties.SourceSecurityGroupId),
      ]);
    const self = `<${group?.logicalId}.GroupId>`;
    expect(fromGroups.sort()).toEqual([
      [2378, 2378, expect.stringMatching(/^<FunctionSecurityGroup/)],
      [2378, 2378, self],
      [2380, 2380, self],
    ]);
  });
});
