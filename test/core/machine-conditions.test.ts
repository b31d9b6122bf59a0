import { expect, test } from 'vitest';
import { clockCondition, spaceCondition, type Verdict } from '../../lambdas/core/machine-conditions.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { Observation } from '../../lambdas/core/step.ts';

const now = new Date('2026-01-01T00:00:00Z');
const MiB = 1024 * 1024;
const verdict: Verdict = (type, status, reason, message) => ({ type, status, reason, message, since: '' });
const voters = ['ma', 'mb', 'mc'].map((name) => [name, { name, state: 'voting' }]);
const tenant = { spec: { quotaMiB: 1000 }, members: Object.fromEntries(voters) } as TenantRecord;

/** Nannies that tell their clock's offset, their database and their disk. */
function seen(members: Record<string, { aheadMs?: number; dbMiB?: number; free?: number } | 'away'>) {
  const nannies = Object.entries(members).map(([name, member]) => {
    if (member === 'away') return [name, { reachable: false, problem: 'no answer' }];
    const { aheadMs = 0, dbMiB = 1, free = 0.5 } = member;
    const status = {
      at: new Date(now.getTime() + aheadMs).toISOString(),
      self: { dbSize: dbMiB * MiB },
      disk: { totalBytes: 10_000 * MiB, freeBytes: 10_000 * MiB * free },
    };
    return [name, { reachable: true, status }];
  });
  return { tasks: {}, names: [], nannies: Object.fromEntries(nannies) } as Observation;
}

test('a clock that is off by more than the way of a look takes is told, with member and direction', () => {
  const clocks = (members: Parameters<typeof seen>[0]) => clockCondition(seen(members), now, verdict);
  expect(clocks({ ma: { aheadMs: 9_000 }, mb: { aheadMs: -9_000 }, mc: 'away' }).status).toBe('True');
  expect(clocks({ ma: { aheadMs: 61_000 }, mb: {}, mc: { aheadMs: -3_600_000 } })).toMatchObject({
    status: 'False',
    reason: 'ClockOff',
    message: 'Clocks differ from ours: ma is 61 s ahead, mc is 3600 s behind.',
  });
});

test('space runs out by the quota or by the disk, whichever comes first', () => {
  const space = (members: Parameters<typeof seen>[0]) => spaceCondition(tenant, seen(members), verdict);
  expect(space({ ma: { dbMiB: 850 }, mb: { free: 0.11 } }).status).toBe('True');
  expect(space({ ma: { dbMiB: 860 }, mb: { free: 0.01 } })).toMatchObject({
    status: 'False',
    reason: 'QuotaNearlyUsed',
  });
  expect(space({ ma: {}, mb: { free: 0.09 }, mc: 'away' })).toMatchObject({
    status: 'False',
    reason: 'DiskNearlyFull',
    message: 'The disk is nearly full: mb (9 % free).',
  });
});
