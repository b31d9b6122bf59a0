import { describe, expect, test } from 'vitest';
import type { Member } from '../../lambdas/core/model/member.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { checkStep } from '../../lambdas/core/safety.ts';
import { nothingSeen, type Observation, type Step } from '../../lambdas/core/step.ts';
import { newTenant } from '../fakes/sim/tenants.ts';

const now = new Date('2026-01-01T00:00:00Z');
const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
const at = now.toISOString();
const ids = { ulid: () => '1', clusterToken: () => 'token' };

const voting = (name: string, zone: string): Member => ({
  state: 'voting',
  name,
  zone,
  requestedAt: at,
  taskArn: `task/${name}`,
  launchedAt: at,
  ip: '10.0.0.1',
  joinedAt: at,
  etcdId: name.slice(-1),
});
const initialCluster = { maaaaaaaa: 'https://10.0.0.1:2380', mbbbbbbbb: 'https://10.0.0.2:2380' };
const gathering: TenantRecord['incarnation'] = { state: 'gathering', number: 1, token: 't' };
const booting: TenantRecord['incarnation'] = { ...gathering, state: 'booting', initialCluster, bootedAt: at };
const formed: TenantRecord['incarnation'] = {
  state: 'formed',
  number: 1,
  token: 't',
  initialCluster,
  clusterId: 'c1',
  formedAt: at,
};

const tenant = (over: Partial<TenantRecord>): TenantRecord => ({
  ...newTenant('acme', now, ids).record,
  ...over,
});
const cluster = (state: TenantRecord['incarnation'], over: Partial<TenantRecord> = {}) =>
  tenant({
    incarnation: state,
    members: {
      maaaaaaaa: voting('maaaaaaaa', zones[0]!),
      mbbbbbbbb: voting('mbbbbbbbb', zones[1]!),
    },
    ...over,
  });
const deleting: TenantRecord['status'] = { phase: 'deleting', conditions: [], since: at };

const speaking = (...clusterIds: string[]): Observation => ({
  ...nothingSeen,
  nannies: Object.fromEntries(
    clusterIds.map((clusterId, index) => [
      ['maaaaaaaa', 'mbbbbbbbb'][index]!,
      { reachable: true, status: { incarnation: 1, view: { clusterId } } as never },
    ]),
  ),
});

const request = (...wanted: string[]): Step => ({ kind: 'request-members', zones: wanted });
const boot = (member = 'maaaaaaaa', incarnation = 1): Step => ({ kind: 'boot-new', member, incarnation });
const latch = (clusterId = 'c1'): Step => ({ kind: 'latch-cluster', incarnation: 1, clusterId, etcdIds: {} });
const abandon: Step = { kind: 'abandon-incarnation', incarnation: 1, reason: 'r' };
const stop: Step = { kind: 'stop-tasks', taskArns: ['task/maaaaaaaa'], reason: 'r' };

const table: [string, Step, TenantRecord, Observation, string | undefined][] = [
  ['the first members, spread', request(...zones), tenant({}), nothingSeen, undefined],
  [
    'one member alone',
    request(zones[0]!),
    tenant({ spec: { ...tenant({}).spec, members: 1 } }),
    nothingSeen,
    undefined,
  ],
  ['two of three in one zone', request(zones[0]!, zones[0]!, zones[1]!), tenant({}), nothingSeen, 'S4'],
  [
    'a zone the cell does not have',
    request('eu-west-1a', zones[1]!, zones[2]!),
    tenant({}),
    nothingSeen,
    'S4',
  ],
  ['more members than wanted', request(...zones, zones[0]!), tenant({}), nothingSeen, 'S2'],
  ['initial members beside those there', request(zones[2]!), cluster(gathering), nothingSeen, undefined],
  ['initial members while the cluster boots', request(zones[2]!), cluster(booting), nothingSeen, 'S2'],
  ['a newcomer to a formed cluster', request(zones[2]!), cluster(formed), nothingSeen, undefined],
  ['two newcomers at once', request(zones[2]!, zones[2]!), cluster(formed), nothingSeen, 'S2'],
  ['new for a member of the initial cluster', boot(), cluster(booting), nothingSeen, undefined],
  ['new before the initial cluster is fixed', boot(), cluster(gathering), nothingSeen, 'S3'],
  ['new for a member outside the initial cluster', boot('mcccccccc'), cluster(booting), nothingSeen, 'S3'],
  ['new for an incarnation that is over', boot('maaaaaaaa', 2), cluster(booting), nothingSeen, 'S3'],
  ['new after the latch', boot(), cluster(formed), nothingSeen, 'S3'],
  ['giving a booting incarnation up', abandon, cluster(booting), nothingSeen, undefined],
  ['giving a formed incarnation up', abandon, cluster(formed), nothingSeen, 'S3'],
  ['the latch of the cluster that all speak of', latch(), cluster(booting), speaking('c1', 'c1'), undefined],
  ['a latch while members speak of two clusters', latch(), cluster(booting), speaking('c1', 'c2'), 'S9'],
  ['a latch of a cluster nobody speaks of', latch('c3'), cluster(booting), speaking('c1', 'c1'), 'S9'],
  ['a second latch with another id', latch('c2'), cluster(formed), nothingSeen, 'S3'],
  [
    'any step while members speak of two clusters',
    { kind: 'publish' },
    cluster(formed),
    speaking('c1', 'c2'),
    'S9',
  ],
  [
    'any step while members speak of another cluster than latched',
    { kind: 'publish' },
    cluster(formed),
    speaking('c2'),
    'S9',
  ],
  ['stopping the task of a voting member', stop, cluster(formed), nothingSeen, 'S1'],
  [
    'stopping it when the tenant is being deleted',
    stop,
    cluster(formed, { status: deleting }),
    nothingSeen,
    undefined,
  ],
  [
    'deleting a tenant in split brain',
    stop,
    cluster(formed, { status: deleting }),
    speaking('c1', 'c2'),
    undefined,
  ],
];

describe('safety', () => {
  test.each(table)('%s', (_name, step, record, observation, rule) => {
    const verdict = checkStep({ step, tenant: record, observation, now, zones });
    expect(verdict.allowed ? undefined : verdict.rule).toBe(rule);
    if (!verdict.allowed) expect(verdict.reason.length).toBeGreaterThan(20);
  });
});
