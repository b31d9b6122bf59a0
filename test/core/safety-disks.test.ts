import { describe, expect, test } from 'vitest';
import type { KeptDisk } from '../../lambdas/core/model/disk.ts';
import type { Pin } from '../../lambdas/core/model/restore.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { Disk } from '../../lambdas/core/ports.ts';
import { checkStep } from '../../lambdas/core/safety.ts';
import { nobodysStays } from '../../lambdas/core/safety-disks.ts';
import type { Observation, Step } from '../../lambdas/core/step.ts';
import { ago, lostQuorum, names, now, zones } from './lost-quorum.ts';

type Recovery = NonNullable<NonNullable<TenantRecord['remediation']>['recovery']>;

const lost = (recovery: Partial<Recovery> = {}, over: Partial<TenantRecord> = {}): TenantRecord =>
  lostQuorum({ recovery: { incarnation: 1, mustBeApproved: false, ...recovery } }, over);

const allStopped: Observation = {
  names: [],
  nannies: {},
  tasks: Object.fromEntries(
    names.map((memberName, index) => [
      `task/${index}`,
      { taskArn: `task/${index}`, memberName, lastStatus: 'STOPPED', desiredStatus: 'STOPPED' },
    ]),
  ),
};

const disk = (memberName: string, over: Partial<Disk> = {}): Disk => ({
  volumeId: `vol-${memberName}`,
  state: 'kept',
  tenantId: 'acme',
  memberName,
  createdAt: ago(900),
  ...over,
});
const looked = (name: string, revision?: number): KeptDisk => ({
  member: name,
  zone: zones[0]!,
  volumeId: `vol-${name}`,
  snapshotId: `snap-${name}`,
  ...(revision !== undefined && {
    found: {
      kind: 'usable',
      revision,
      keys: 1,
      replayed: 0,
      source: { kind: 'disk', key: `k-${name}`, sha256: 'f', bytes: 1, revision, bumpRevision: 1 },
    },
  }),
});
const pin = (expectedRevision: number): Pin => ({
  from: 'acme',
  backupId: 'b',
  incarnation: 1,
  key: 'k',
  sha256: 'f',
  bytes: 1,
  revision: 1,
  etcdVersion: '3.6.16',
  segments: 0,
  segmentBytes: 0,
  expectedRevision,
  contentAt: ago(600),
});
const check = (step: Step, tenant: TenantRecord, observation: Observation = allStopped) =>
  checkStep({ step, tenant, observation, now, zones });
const refused = (reason: string | RegExp) => ({
  allowed: false,
  rule: 'S6',
  reason: expect.stringMatching(reason),
});

describe('S6, disks first', () => {
  const choose = (name: string): Step => ({ kind: 'choose-disk', member: name });

  test('no disk is taken before every one was looked at', () => {
    const tenant = lost({ disks: [looked(names[0]!, 90), looked(names[1]!)] });
    expect(check(choose(names[0]!), tenant)).toEqual(refused('mbbbbbbbb has not been looked at'));
  });

  test('only the one that reaches furthest is taken, and none that a backup goes beyond', () => {
    const disks = [looked(names[0]!, 90), looked(names[1]!, 95)];
    expect(check(choose(names[0]!), lost({ disks }))).toEqual(refused('is not the furthest'));
    expect(check(choose(names[1]!), lost({ disks, pin: pin(95) }))).toEqual({ allowed: true });
    expect(check(choose(names[1]!), lost({ disks, pin: pin(96) }))).toEqual(refused('backup: 96'));
  });

  test('a backup is not decided on while there are disks that nobody looked at, or that reach as far', () => {
    const begin = (expected: number): Step => ({
      kind: 'begin-remediation',
      what: 'recover',
      reason: 'r',
      recovery: { incarnation: 1, pin: pin(expected), mustBeApproved: false },
    });
    const { recovery: _none, ...remediation } = lost().remediation!;
    const undecided = lost({}, { remediation });
    expect(check(begin(50), undecided)).toEqual(refused('nobody has looked for the disks'));
    const withDisk = { ...allStopped, disks: [disk(names[1]!)] };
    expect(check(begin(50), undecided, withDisk)).toEqual(refused('mbbbbbbbb are there'));
    // Those of a member that had left before, and copies without a disk, are none.
    const others = [disk('mformer00'), disk(names[0]!, { state: 'gone' })];
    expect(check(begin(50), undecided, { ...allStopped, disks: others })).toEqual({ allowed: true });
    expect(check(begin(50), lost({ disks: [looked(names[0]!)] }))).toEqual(refused('has not been looked at'));
    expect(check(begin(50), lost({ disks: [looked(names[0]!, 50)] }))).toEqual(
      refused('reaches revision 50'),
    );
    expect(check(begin(50), lost({ disks: [looked(names[0]!, 49)] }))).toEqual({ allowed: true });
  });

  test('a backup is not prepared while a disk was not looked at', () => {
    const order: Step = {
      kind: 'order-work',
      purpose: 'restore',
      operationId: 'op',
      zone: zones[0]!,
      order: {
        etcdVersion: '3.6.16',
        source: { kind: 'full', key: 'k', sha256: 'f', bytes: 1, revision: 1 },
      },
      outputPrefix: 'cell-1/acme/1/prepared/',
    };
    expect(check(order, lost({ disks: [looked(names[0]!)], pin: pin(1) }))).toEqual(
      refused('has not been looked at'),
    );
    expect(check({ ...order, order: { ...order.order, source: { kind: 'disk' } } }, lost())).toEqual({
      allowed: true,
    });
  });
});

describe('S6, disks stay', () => {
  const remove = (...of: string[]): Step => ({
    kind: 'remove-disks',
    volumeIds: of.map((name) => `vol-${name}`),
  });
  const former = disk('mformer00');
  const serving = (count: number): Observation => ({
    ...allStopped,
    tasks: {},
    nannies: Object.fromEntries(
      names.slice(0, count).map((memberName, index) => [
        memberName,
        {
          reachable: true,
          status: {
            memberName,
            incarnation: 1,
            at: now.toISOString(),
            etcd: { state: 'ready' },
            alarms: [],
            self: { etcdId: `${index + 1}`, clusterId: 'c', isLearner: false, leader: '1', revision: 9 },
            view: {
              linearizable: true,
              clusterId: 'c',
              members: names.map((name, at) => ({
                etcdId: `${at + 1}`,
                name,
                peerUrls: [`https://10.0.0.${at}:2380`],
                isLearner: false,
                reachable: true,
              })),
            },
          },
        } as never,
      ]),
    ),
    disks: [former, disk(names[0]!), disk('mbusy0000', { state: 'attached' })],
  });
  const available = lost(
    {},
    { status: { phase: 'available', conditions: [], since: ago(60) }, remediation: undefined as never },
  );
  const { remediation: _none, ...well } = available;

  test('a former disk goes once all members are well, not before', () => {
    expect(check(remove('mformer00'), well, serving(3))).toEqual({ allowed: true });
    expect(check(remove('mformer00'), well, serving(2))).toEqual(refused('2 of 3 members are healthy'));
    expect(check(remove('mformer00'), lost(), serving(3))).toEqual(refused('recovering'));
    const paused = { ...well, paused: { since: ago(60), by: 'somebody', reason: 'r' } };
    expect(check(remove('mformer00'), paused, serving(3))).toEqual(refused('paused'));
  });

  test('never that of a member, one in use, or one that nobody has seen', () => {
    expect(check(remove(names[0]!), well, serving(3))).toEqual(refused('is the disk of maaaaaaaa'));
    expect(check(remove('mbusy0000'), well, serving(3))).toEqual(refused('is in use'));
    expect(check(remove('munknown0'), well, serving(3))).toEqual(refused('is not a disk of acme'));
    const { disks: _disks, ...unseen } = serving(3);
    expect(check(remove('mformer00'), well, unseen)).toEqual(refused('nobody has looked'));
  });

  test('of a tenant that is deleted all go, when nothing runs any more and a final backup is there', () => {
    const deleting: TenantRecord = { ...well, status: { phase: 'deleting', conditions: [], since: ago(60) } };
    const seen = { ...allStopped, disks: [disk(names[0]!)] };
    expect(check(remove(names[0]!), deleting, seen)).toEqual({ allowed: true });
    const running = { taskArn: 'task/9', lastStatus: 'RUNNING', desiredStatus: 'RUNNING' };
    const alive = { ...seen, tasks: { ...seen.tasks, 'task/9': running } };
    expect(check(remove(names[0]!), deleting, alive)).toEqual(refused('not confirmed STOPPED'));
    const unsaved: TenantRecord = {
      ...deleting,
      backups: { wanted: { reason: 'before-delete', since: ago(60), operationId: 'op' } },
    };
    expect(check(remove(names[0]!), unsaved, seen)).toMatchObject({ allowed: false, rule: 'S7' });
  });

  test('asleep, everything is in a snapshot', () => {
    const source = { kind: 'backup' as const, key: 'k', sha256: 'f', bytes: 1, revision: 1, bumpRevision: 1 };
    const asleep: TenantRecord = {
      ...well,
      members: {},
      status: { phase: 'hibernated', conditions: [], since: ago(60), source },
    };
    const seen = { ...allStopped, tasks: {}, disks: [former] };
    expect(check(remove('mformer00'), asleep, seen)).toEqual({ allowed: true });
  });

  test('nobody’s goes after an hour, never while it is in use or its tenant exists', () => {
    const old = disk('mformer00', { createdAt: ago(3_601) });
    expect(nobodysStays(old, undefined, now)).toBeUndefined();
    expect(nobodysStays(old, well, now)).toContain('exists');
    expect(nobodysStays({ ...old, state: 'attached' }, undefined, now)).toContain('in use');
    expect(nobodysStays(disk('mformer00'), undefined, now)).toContain('an hour');
  });
});
