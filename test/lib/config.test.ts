import { describe, expect, it } from 'vitest';
import { nextCidrBlock } from '../../lib/cidr.ts';
import { ConfigError, parseConfig } from '../../lib/config.ts';
import { resolveEtcdVersions } from '../../lib/etcd-versions.ts';

describe('settings in cdk context', () => {
  it('needs none', () => {
    expect(parseConfig({})).toMatchObject({
      deploymentName: 'etcd-nanny',
      ephemeral: false,
      cells: [{ id: 'c1', vpcCidr: '10.42.0.0/16' }],
      clientCidrs: [],
      maxTenants: 100,
      logRetentionDays: 30,
    });
  });

  it('leaves alone what the CDK CLI keeps in context for itself', () => {
    expect(parseConfig({ 'cli-telemetry': false, '@aws-cdk/core:x': true })).toEqual(parseConfig({}));
  });

  it('takes the strings of -c and the values of cdk.json alike', () => {
    const fromShell = parseConfig({
      ephemeral: 'true',
      cells: '2',
      zones: 'us-east-1a, us-east-1b,us-east-1c',
      etcdVersions: '["3.5.35","3.6.16"]',
      maxTenants: '7',
    });
    const fromFile = parseConfig({
      ephemeral: true,
      cells: 2,
      zones: ['us-east-1a', 'us-east-1b', 'us-east-1c'],
      etcdVersions: ['3.5.35', '3.6.16'],
      maxTenants: 7,
    });
    expect(fromShell).toEqual(fromFile);
  });

  it('takes an issuer as an object, and as JSON from -c', () => {
    const jwt = { issuer: 'https://login.example.com/', audience: 'etcd-nanny' };
    const told = parseConfig({ jwt }).jwt;
    expect(told).toEqual({
      issuer: 'https://login.example.com/',
      audience: ['etcd-nanny'],
      tenantsClaim: 'tenants',
      adminScope: 'etcd-nanny/admin',
    });
    expect(parseConfig({ jwt: JSON.stringify(jwt) }).jwt).toEqual(told);
    expect(parseConfig({}).jwt).toBeUndefined();
  });

  it("lets CDK's own keys pass: flags, options and lookup caches", () => {
    const context = {
      '@aws-cdk/core:checkSecretUsage': true,
      'aws:cdk:bundling-stacks': [],
      'availability-zones:account=1:region=x': ['x'],
    };
    expect(parseConfig(context).cells).toHaveLength(1);
  });

  it('accepts loopback blocks: the local cloud gives each task an address of its own', () => {
    expect(parseConfig({ vpcCidr: '127.43.0.0/16' }).cells[0]?.vpcCidr).toBe('127.43.0.0/16');
  });

  it('gives each cell the next block of the same size', () => {
    expect(parseConfig({ cells: 3, vpcCidr: '10.0.224.0/20' }).cells).toEqual([
      { id: 'c1', vpcCidr: '10.0.224.0/20' },
      { id: 'c2', vpcCidr: '10.0.240.0/20' },
      { id: 'c3', vpcCidr: '10.1.0.0/20' },
    ]);
    expect(nextCidrBlock('255.255.0.0/16', 1)).toBeUndefined();
  });

  const bad: [string, Record<string, unknown>, RegExp][] = [
    ['a misspelt key', { nodeImageUrl: 'x' }, /nodeImageUrl: unknown key/],
    ['an empty image', { nodeImageUri: '' }, /nodeImageUri: must be an image reference/],
    ['a word for a flag', { ephemeral: 'yes' }, /ephemeral: .*boolean/],
    ['no cell', { cells: 0 }, /cells: /],
    ['half a cell', { cells: '1.5' }, /cells: /],
    ['two zones', { zones: 'a-1a,a-1b' }, /zones: must be three different zones/],
    ['the same zone twice', { zones: 'a-1a,a-1b,a-1b' }, /zones: must be three different zones/],
    ['an empty zone', { zones: 'a-1a,,a-1c' }, /zones\.1: must be an Availability Zone name/],
    ['a block that is none', { vpcCidr: '10.0.0/16' }, /vpcCidr: must be an IPv4 block/],
    ['a byte too large', { vpcCidr: '10.256.0.0/16' }, /vpcCidr: must be an IPv4 block/],
    ['a block too large', { vpcCidr: '10.0.0.0/8' }, /vpcCidr: must have a prefix length from \/16 to \/20/],
    ['a block too small', { vpcCidr: '10.0.0.0/24' }, /vpcCidr: must have a prefix length/],
    ['host bits', { vpcCidr: '10.0.1.0/16' }, /vpcCidr: has host bits set: 10\.0\.0\.0\/16 is meant\?/],
    ['cells beyond IPv4', { vpcCidr: '255.255.0.0/16', cells: 2 }, /there is no block for cell 2/],
    ['a client block that is none', { clientCidrs: 'everybody' }, /clientCidrs\.0: must be an IPv4 block/],
    ['a minor for a version', { etcdVersions: '3.6' }, /etcdVersions\.0: must be an exact version/],
    ['a retention CloudWatch lacks', { logRetentionDays: 31 }, /logRetentionDays: /],
    ['no tenants', { maxTenants: 0 }, /maxTenants: /],
    ['a cell without room', { maxTenantsPerCell: 0 }, /maxTenantsPerCell: /],
    ['a cell with more tenants than one item can hold', { maxTenantsPerCell: 5_000 }, /maxTenantsPerCell: /],
    ['a way out that is none', { egress: 'internet' }, /egress: /],
    ['an issuer that is no URL', { jwt: { issuer: 'me', audience: ['a'] } }, /jwt\.issuer: /],
    [
      'an issuer by plain HTTP',
      { jwt: { issuer: 'http://login.example.com', audience: ['a'] } },
      /jwt\.issuer: must be an https URL/,
    ],
    [
      'an issuer that only looks like loopback',
      { jwt: { issuer: 'http://127.0.0.1.example.com', audience: ['a'] } },
      /jwt\.issuer: must be an https URL/,
    ],
    ['no audience', { jwt: { issuer: 'https://login.example.com', audience: [] } }, /jwt\.audience: /],
    ['tokens that are no JSON', { jwt: 'https://login.example.com' }, /jwt: must be JSON/],
    [
      'two admin scopes',
      { jwt: { issuer: 'https://a.example', audience: 'a', adminScope: 'a b' } },
      /adminScope: /,
    ],
    ['a lock of no days', { backupObjectLockDays: 0 }, /backupObjectLockDays: /],
    ['an upper-case name', { deploymentName: 'Etcd' }, /deploymentName: must be 2 to 31 characters/],
  ];
  it.each(bad)('refuses %s', (_what, context, message) => {
    expect(() => parseConfig(context)).toThrow(ConfigError);
    expect(() => parseConfig(context)).toThrow(message);
  });

  it('lists every problem at once, and the keys that exist', () => {
    const problems = { colour: 'red', cells: 0, ephemeral: 'perhaps' };
    expect(() => parseConfig(problems)).toThrow(/colour: unknown key/);
    expect(() => parseConfig(problems)).toThrow(/cells: /);
    expect(() => parseConfig(problems)).toThrow(/ephemeral: /);
    expect(() => parseConfig(problems)).toThrow(
      /Known keys: deploymentName, ephemeral, destroyWithTenants, cells/,
    );
  });
});

describe('offered etcd versions', () => {
  it('are the supported ones of the image unless said otherwise', () => {
    const { default: chosen, offered } = resolveEtcdVersions({});
    expect(offered).toContain(chosen);
    expect(offered.length).toBeGreaterThan(1);
  });

  it('fall back to the newest one when the usual default is not offered', () => {
    expect(resolveEtcdVersions({ etcdVersions: ['3.5.35', '3.5.33'] }).default).toBe('3.5.35');
  });

  it('must be known and must hold the wanted default', () => {
    expect(() => resolveEtcdVersions({ etcdVersions: ['9.9.9'] })).toThrow(/9\.9\.9 is not in node-image/);
    expect(() => resolveEtcdVersions({ etcdVersions: ['3.5.35'], defaultEtcdVersion: '3.6.16' })).toThrow(
      /defaultEtcdVersion: 3\.6\.16 is not among the offered versions 3\.5\.35/,
    );
    expect(() => resolveEtcdVersions({ etcdVersions: [] })).toThrow(/at least one/);
  });
});
