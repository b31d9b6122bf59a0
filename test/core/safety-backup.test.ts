import { expect, test } from 'vitest';
import type { Backup } from '../../lambdas/core/model/backup.ts';
import { checkStep } from '../../lambdas/core/safety.ts';
import type { Step } from '../../lambdas/core/step.ts';
import { formed, nameOf, now, zones } from '../fakes/sim/formed.ts';

const hoursAgo = (hours: number): string => new Date(now.getTime() - hours * 3_600_000).toISOString();
const backup = (backupId: string, hours: number, more: Partial<Backup> = {}): Backup => ({
  backupId,
  tenantId: 'acme',
  incarnation: 1,
  key: `cell-1/acme/1/full/${backupId}.snap`,
  sha256: 'f',
  bytes: 1,
  revision: 10_000 - hours,
  etcdVersion: '3.6.16',
  member: nameOf(0),
  reason: 'scheduled',
  startedAt: hoursAgo(hours),
  contentAt: hoursAgo(hours),
  endedAt: hoursAgo(hours),
  ...more,
});
const proof = { at: hoursAgo(1), revision: 1, keys: 1, hash: 1, seconds: 1 };
const world = formed([{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }]);
const check = (step: Step, backups?: Backup[], tenant = world.tenant) =>
  checkStep({
    step,
    tenant,
    observation: {
      ...world.observation,
      ...(backups && { catalogue: { backups, deltas: {}, objects: [] } }),
    },
    now,
    zones,
  });
const prune = (backups: Backup[]): Step => ({
  kind: 'prune-backups',
  backupIds: backups.map(({ backupId }) => backupId),
  keys: backups.map(({ key }) => key),
  whole: true,
});

test('S7: a backup is deleted only when retention lets it go', () => {
  const [newest, young, first, old] = [backup('d', 1), backup('c', 5), backup('b', 30), backup('a', 2_000)];
  expect(check(prune([old]), [newest, young, first, old])).toEqual({ allowed: true });
  // The window's first second needs the one before it.
  expect(check(prune([first]), [newest, young, first, old])).toMatchObject({ allowed: false, rule: 'S7' });
  expect(check(prune([young]), [newest, young, first, old])).toMatchObject({ allowed: false, rule: 'S7' });
  expect(check(prune([old]))).toMatchObject({ allowed: false, rule: 'S7' });
});

test('S7: the newest and the newest proven backup are never deleted, however old', () => {
  const [newest, proven, old] = [backup('c', 2_000), backup('b', 2_100, { proof }), backup('a', 2_200)];
  const all = [newest, proven, old];
  expect(check(prune([newest]), all)).toMatchObject({
    rule: 'S7',
    reason: expect.stringContaining('newest'),
  });
  expect(check(prune([proven]), all)).toMatchObject({
    rule: 'S7',
    reason: expect.stringContaining('proven'),
  });
  expect(check(prune([old]), all)).toEqual({ allowed: true });
});

test('S7: a member that is behind the newest backup of its incarnation gives none', () => {
  const { contentAt, startedAt, endedAt } = backup('a', 1);
  const last = (incarnation: number, revision: number) => ({
    ...world.tenant,
    backups: {
      last: {
        backupId: 'a',
        incarnation,
        revision,
        bytes: 1,
        reason: 'scheduled' as const,
        contentAt,
        startedAt,
        endedAt,
      },
    },
  });
  const begin: Step = { kind: 'begin-backup', member: nameOf(1), reason: 'scheduled' };
  expect(check(begin, [], last(1, 2))).toMatchObject({ allowed: false, rule: 'S7' });
  expect(check(begin, [], last(1, 1))).toEqual({ allowed: true });
  expect(check({ ...begin, member: nameOf(1) }, [], last(2, 99))).toEqual({ allowed: true });
});
