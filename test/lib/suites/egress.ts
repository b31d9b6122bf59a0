import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { flat, fullContext, lastingContext, type Resource, type Synthesized, synthesize } from '../synth.ts';

/** us-east-1, on demand, 730 hours. */
const endpointMonth = 3 * 0.01 * 730;
const natMonth = (0.045 + 0.005) * 730;

let endpoints: Synthesized;
let nat: Synthesized;
let single: Synthesized;
beforeAll(async () => {
  endpoints = await synthesize(lastingContext);
  nat = await synthesize(fullContext);
  single = await synthesize({ ...lastingContext, egress: 'single-nat' });
});

const network = (app: Synthesized): Record<string, Resource> => app.templates['prod-c1-network'].Resources;
/** Of the first cell. */
const of = (app: Synthesized, type: string) =>
  Object.entries(network(app)).flatMap(([logicalId, resource]) =>
    resource.Type === type ? [{ ...resource, logicalId }] : [],
  );
const interfaces = (app: Synthesized) =>
  of(app, 'AWS::EC2::VPCEndpoint')
    .filter(({ Properties }) => Properties.VpcEndpointType === 'Interface')
    .map(({ Properties }) => flat(Properties.ServiceName).replace(/^.*>\./, ''));

describe('the way out of a cell', () => {
  it('is by one NAT gateway a zone, or by one for all, if the settings say so', () => {
    expect(of(nat, 'AWS::EC2::NatGateway')).toHaveLength(3);
    expect(of(single, 'AWS::EC2::NatGateway')).toHaveLength(1);
    for (const app of [nat, single]) {
      const members = of(app, 'AWS::EC2::Subnet').filter(({ logicalId }) =>
        logicalId.startsWith('Vpcmembers'),
      );
      expect(members).toHaveLength(3);
      const out = of(app, 'AWS::EC2::Route').filter(({ Properties }) => Properties.NatGatewayId);
      expect(out).toHaveLength(3);
      expect(new Set(out.map(({ Properties }) => flat(Properties.RouteTableId))).size).toBe(3);
    }
  });

  it('leads each zone through the gateway of that zone, where there is one', () => {
    const zoneOf = (subnet: string) => flat(network(nat)[subnet]?.Properties.AvailabilityZone);
    const zones = of(nat, 'AWS::EC2::NatGateway').map(({ Properties }) =>
      zoneOf(Properties.SubnetId.Ref).replace(/^<Vpcmembers(Subnet\d).*/, '$1'),
    );
    expect(zones).toEqual(['Subnet1', 'Subnet2', 'Subnet3']);
  });

  it('is only ever added: no subnet, group or table of the members changes with it', () => {
    for (const app of [nat, single]) {
      const before = network(endpoints);
      const kept = Object.keys(before).filter((id) => !/^Endpoints(?!ExecuteApi|SecurityGroup)/.test(id));
      expect(kept.length).toBeGreaterThan(15);
      for (const id of kept) expect([id, network(app)[id]]).toEqual([id, before[id]]);
    }
  });

  it('puts its public subnets where no member lives, and gives nothing there a public address by itself', () => {
    const subnets = of(nat, 'AWS::EC2::Subnet').filter(({ logicalId }) => logicalId.startsWith('NatPublic'));
    expect(subnets.map(({ Properties }) => Properties.CidrBlock)).toEqual([
      '10.42.192.0/28',
      '10.42.192.16/28',
      '10.42.192.32/28',
    ]);
    for (const { Properties } of subnets) expect(Properties.MapPublicIpOnLaunch).toBe(false);
  });

  it('leaves the join API its endpoint, without which a private API has no address', () => {
    expect(interfaces(nat)).toEqual(['execute-api']);
    expect(interfaces(single)).toEqual(['execute-api']);
    const [api] = nat.of('AWS::ApiGateway::RestApi');
    expect(flat(api?.Properties.Policy.Statement[0].Condition)).toEqual({
      StringEquals: { 'aws:SourceVpce': expect.stringContaining('ExecuteApi') },
    });
    const gateways = of(nat, 'AWS::EC2::VPCEndpoint').filter(
      ({ Properties }) => Properties.VpcEndpointType === 'Gateway',
    );
    expect(gateways).toHaveLength(2);
  });

  it('costs what the settings and the deploy guide say', async () => {
    const usd = (sum: number) => `$${sum.toFixed(2)}`;
    const sums = [
      interfaces(endpoints).length * endpointMonth,
      3 * natMonth + endpointMonth,
      natMonth + endpointMonth,
    ].map(usd);
    const read = (file: string) => readFile(path.resolve(import.meta.dirname, '../../..', file), 'utf8');
    for (const file of ['lib/config.ts', 'docs/deploy.md'])
      for (const sum of sums) expect([file, await read(file)]).toEqual([file, expect.stringContaining(sum)]);
    // From how many services on a NAT in each zone is cheaper than their endpoints.
    expect(Math.floor((3 * natMonth) / endpointMonth) + 1).toBe(6);
    const spared = (interfaces(endpoints).length - 1) * endpointMonth - 3 * natMonth;
    const gigabytes = Math.round(spared / (0.045 - 0.01));
    for (const file of ['lib/config.ts', 'docs/deploy.md'])
      expect(await read(file)).toContain(gigabytes.toLocaleString('en-US'));
  });
});
