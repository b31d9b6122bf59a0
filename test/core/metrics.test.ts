import { expect, test } from 'vitest';
import { maxTenantMetrics, tenantFigures, tenantMetrics } from '../../lambdas/core/metrics.ts';
import type { Condition, ConditionType } from '../../lambdas/core/model/condition.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { Observation } from '../../lambdas/core/step.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';

const now = new Date('2026-01-01T12:00:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
const MiB = 1024 * 1024;

type Part = Partial<Record<keyof NannyStatus, unknown>>;

/** A tenant as a look leaves it, and what its nannies told: `away` was not reached. */
function world(members: readonly (Part | 'away')[], more: Record<string, unknown> = {}) {
  const names = members.map((_, n) => `m${n}`);
  const tenant = {
    tenantId: 'acme',
    createdAt: ago(3_600),
    spec: {
      members: members.length,
      size: 'small',
      quotaMiB: 100,
      backup: { intervalMinutes: 60, drillHours: 24 },
    },
    status: { phase: 'available', conditions: [] },
    incarnation: { state: 'formed', number: 1, formedAt: ago(1_800) },
    members: Object.fromEntries(
      names.map((name) => [name, { name, state: 'voting', taskArn: `t-${name}`, ip: '10.0.0.1' }]),
    ),
    ...more,
  } as unknown as TenantRecord;
  const nannies = names.map((name, n) => {
    const told = members[n]!;
    if (told === 'away') return [name, { reachable: false, problem: 'no answer' }];
    const self = { etcdId: 'a', leader: 'a', version: '3.6.16', dbSize: MiB };
    const status = { at: now.toISOString(), etcd: { state: 'ready' }, self, alarms: [], ...told };
    return [name, { reachable: true, status }];
  });
  const observation = { tasks: {}, names: [], nannies: Object.fromEntries(nannies) } as Observation;
  return tenantFigures(tenant, observation, now);
}

const condition = (type: ConditionType, status: Condition['status'], since = ago(60)) => ({
  status: { phase: 'available', conditions: [{ type, status, since, reason: '', message: '' }] },
});

test('a tenant has eight metrics at most: each costs money every month', () => {
  expect(Object.keys(tenantMetrics).length).toBeLessThanOrEqual(maxTenantMetrics);
});

test('the write margin is how many more members may fail', () => {
  // By choice: the alarm that comes when it grows looks back.
  expect(world([{}]).WriteMargin).toBe(1);
  expect(world(['away']).WriteMargin).toBe(-1);
  expect(world([{}, {}, {}]).WriteMargin).toBe(1);
  expect(world([{}, {}, {}, {}, {}]).WriteMargin).toBe(2);
  expect(world([{}, {}, 'away']).WriteMargin).toBe(0);
  expect(world([{}, {}, { etcd: { state: 'not-ready', restarts: 0 } }]).WriteMargin).toBe(0);
});

test('no quorum, an alarm of etcd and two clusters are below zero, each as a number of its own', () => {
  expect(world([{}, 'away', 'away']).WriteMargin).toBe(-1);
  expect(world([{ alarms: [{ etcdId: 'a', alarm: 'NOSPACE' }] }, {}, {}]).WriteMargin).toBe(-1);
  expect(world([{}, {}, {}], condition('ClusterIdConsistent', 'False')).WriteMargin).toBe(-2);
});

test('load is the share of the size class of the member that uses most', () => {
  const load = (cpuCores: number, memoryMiB: number) => ({
    load: { cpuCores, memoryBytes: memoryMiB * MiB },
  });
  expect(world([load(0.1, 512), load(0.25, 256), {}])).toMatchObject({
    CpuPercent: 50,
    MemoryPercent: 50,
    DbSizeBytes: MiB,
  });
});

test('what no member told is no data, not zero', () => {
  const figures = world(['away', 'away', 'away']);
  expect(figures).not.toHaveProperty('CpuPercent');
  expect(figures).not.toHaveProperty('DbSizeBytes');
});

test('the age of the backup is that of what could be restored, not of the last full one', () => {
  const last = { incarnation: 1, contentAt: ago(1_500) };
  const holder = { incarnation: 1, member: 'm0', askedAt: ago(20), upToDateAt: ago(60) };
  expect(world([{}, {}, {}]).BackupAgeSeconds).toBe(1_800);
  expect(world([{}, {}, {}], { backups: { last } }).BackupAgeSeconds).toBe(1_500);
  expect(world([{}, {}, {}], { backups: { last, holder } }).BackupAgeSeconds).toBe(60);
  const old = { ...last, contentAt: ago(9_000) };
  expect(world([{}, {}, {}], { backups: { last: old, holder } }).BackupAgeSeconds).toBe(9_000);
});

test('how long the backups have not been proven is counted from when they should have been', () => {
  expect(world([{}], condition('BackupProven', 'True')).BackupUnprovenSeconds).toBe(0);
  expect(world([{}], condition('BackupProven', 'Unknown')).BackupUnprovenSeconds).toBe(0);
  expect(world([{}], condition('BackupProven', 'False', ago(90))).BackupUnprovenSeconds).toBe(90);
  expect(world([{}], condition('BackupProven', 'False', ago(0))).BackupUnprovenSeconds).toBe(1);
});

test('what is under way is stuck since its first failure or since its repair began, and never while paused', () => {
  const backoff = { duty: 'scale', failures: 4, until: ago(-60), reason: 'no capacity', since: ago(300) };
  const remediation = { operationId: 'x', kind: 'remediate', since: ago(120), reason: 'a member is lost' };
  expect(world([{}]).StuckSeconds).toBe(0);
  expect(world([{}], { backoff }).StuckSeconds).toBe(300);
  expect(world([{}], { remediation }).StuckSeconds).toBe(120);
  expect(world([{}], { remediation, backoff }).StuckSeconds).toBe(300);
  const paused = { since: ago(60), by: 'somebody', reason: 'a look' };
  expect(world([{}], { remediation, backoff, paused }).StuckSeconds).toBe(0);
});

test('the certificate that ends first counts, and an authority as if it ended a year earlier', () => {
  const until = (days: number) => new Date(now.getTime() + days * 86_400_000).toISOString();
  const leaf = (days: number) => ({ certificates: { notAfter: until(days) } });
  const pki = { validFrom: ago(0), validUntil: until(400) };
  expect(world([leaf(29), leaf(9), leaf(20)]).CertificateDaysLeft).toBe(9);
  expect(world([leaf(29), leaf(50), leaf(45)], { pki: { ...pki, validUntil: until(385) } })).toMatchObject({
    CertificateDaysLeft: 20,
  });
  const rollover = { phase: 'trust' };
  expect(world([leaf(29)], { pki: { ...pki, validUntil: until(385), rollover } }).CertificateDaysLeft).toBe(
    29,
  );
});
