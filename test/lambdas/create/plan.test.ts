import { describe, expect, test } from 'vitest';
import type { Member } from '../../../lambdas/core/model/member.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { type Decision, nothingSeen, type Observation } from '../../../lambdas/core/step.ts';
import { planCreate } from '../../../lambdas/create/plan.ts';
import { planDelete } from '../../../lambdas/delete/plan.ts';
import { newTenant } from '../../fakes/sim/tenants.ts';

const now = new Date('2026-01-01T01:00:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
const names = ['maaaaaaaa', 'mbbbbbbbb', 'mcccccccc'];
const fresh = newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record;

const born = (index: number) => ({ name: names[index]!, zone: zones[index]!, requestedAt: ago(60) });
const launching = (index: number, seconds = 30): Member => ({
  state: 'launching',
  ...born(index),
  taskArn: `task/${index}`,
  launchedAt: ago(seconds),
});
const joined = (index: number): Member => ({
  ...(launching(index) as Extract<Member, { state: 'launching' }>),
  state: 'joined',
  ip: `10.0.0.${index}`,
  joinedAt: ago(10),
});
const of = (members: Member[], over: Partial<TenantRecord> = {}): TenantRecord => ({
  ...fresh,
  members: Object.fromEntries(members.map((member) => [member.name, member])),
  pki: { caBundle: '', caKey: '', controlPlaneCertificate: '', controlPlaneKey: '' },
  nameServiceId: 's',
  ...over,
});
const all = <T>(make: (index: number) => T): T[] => [0, 1, 2].map(make);

const tasks = (lastStatus: string, over: Partial<Record<number, string>> = {}): Observation => ({
  ...nothingSeen,
  tasks: Object.fromEntries(
    all((index) => {
      const status = over[index] ?? lastStatus;
      const desiredStatus = status === 'STOPPED' ? 'STOPPED' : 'RUNNING';
      return [`task/${index}`, { taskArn: `task/${index}`, lastStatus: status, desiredStatus }];
    }),
  ),
});
const booting = (seconds: number): TenantRecord['incarnation'] => ({
  state: 'booting',
  number: 1,
  token: 't',
  initialCluster: Object.fromEntries(names.map((name) => [name, `https://${name}:2380`])),
  bootedAt: ago(seconds),
});
const say = (decision: Decision): string =>
  decision.kind === 'step' ? decision.step.kind : decision.kind === 'wait' ? decision.name : decision.kind;

const requested = all((index): Member => ({ state: 'requested', ...born(index) }));
const backoff = { duty: 'create' as const, failures: 1, until: ago(-5), reason: 'r' };
const left: Member = { state: 'leaving', ...born(0), taskArn: 'task/0', leavingSince: ago(5), reason: 'r' };

const table: [string, TenantRecord, Observation, string][] = [
  ['nothing yet', fresh, nothingSeen, 'request-members'],
  ['members wanted', of(requested), nothingSeen, 'launch-members'],
  ['tasks coming up, no authority', of(all(launching), { pki: undefined }), tasks('PENDING'), 'issue-pki'],
  [
    'tasks coming up, no name',
    of(all(launching), { nameServiceId: undefined }),
    tasks('PENDING'),
    'create-name',
  ],
  ['tasks coming up', of(all(launching)), tasks('PENDING'), 'wait-for-members'],
  ['tasks that ECS does not show yet', of(all(launching)), nothingSeen, 'wait-for-members'],
  ['tasks that ECS has forgotten', of(all((i) => launching(i, 90))), nothingSeen, 'abandon-incarnation'],
  ['a task that stopped', of(all(launching)), tasks('RUNNING', { 1: 'STOPPED' }), 'abandon-incarnation'],
  ['a task that never joins', of(all((i) => launching(i, 700))), tasks('RUNNING'), 'abandon-incarnation'],
  ['members booting', of(all(joined), { incarnation: booting(5) }), tasks('RUNNING'), 'wait-for-quorum'],
  [
    'members that never get ready',
    of(all(joined), { incarnation: booting(130) }),
    tasks('RUNNING'),
    'abandon-incarnation',
  ],
  ['a failed launch just now', of(requested, { backoff }), nothingSeen, 'back-off'],
  [
    'a task lost during the back-off',
    of(all(launching), { backoff }),
    tasks('RUNNING', { 2: 'STOPPED' }),
    'abandon-incarnation',
  ],
  ['an attempt given up, tasks running', of([left]), tasks('RUNNING'), 'stop-tasks'],
  ['an attempt given up, tasks stopped', of([left]), tasks('STOPPED'), 'forget-members'],
  [
    'published, operation open',
    { ...fresh, status: { phase: 'available', conditions: [], since: ago(1) } },
    nothingSeen,
    'close-operation',
  ],
];

describe('create decides', () => {
  test.each(table)('%s', (_name, tenant, observation, wanted) => {
    expect(say(planCreate(tenant, observation, now, zones))).toBe(wanted);
  });
});

const removal: [string, TenantRecord, Observation, string][] = [
  ['names before tasks', of(all(joined)), { ...tasks('RUNNING'), names }, 'deregister-names'],
  ['tasks', of(all(joined)), tasks('RUNNING'), 'stop-tasks'],
  ['tasks that ECS does not show yet', of(all(launching)), nothingSeen, 'stop-tasks'],
  ['one task still stopping', of(all(joined)), tasks('STOPPED', { 1: 'RUNNING' }), 'stop-tasks'],
  ['the name once nothing runs', of(all(joined)), tasks('STOPPED'), 'delete-name'],
  ['the record last', of(all(joined), { nameServiceId: undefined }), tasks('STOPPED'), 'remove-record'],
  ['a tenant that never got anywhere', fresh, nothingSeen, 'remove-record'],
];

describe('delete decides', () => {
  test.each(removal)('%s', (_name, tenant, observation, wanted) => {
    expect(say(planDelete(tenant, observation, now))).toBe(wanted);
  });

  test('to wait a moment for a launch whose answer nobody saved', () => {
    const members: Member[] = [{ state: 'requested', ...born(0), requestedAt: ago(2) }];
    expect(say(planDelete(of(members), nothingSeen, now))).toBe('wait-for-launches');
  });
});
