import { describe, expect, test } from 'vitest';
import type { TenantRecord, Work } from '../../../lambdas/core/model/tenant.ts';
import { unownedTasks } from '../../../lambdas/core/remediation/detect.ts';
import type { Observation } from '../../../lambdas/core/step.ts';
import type { WorkProgress } from '../../../lambdas/core/wire/work.ts';
import { followWork } from '../../../lambdas/core/work/follow-work.ts';
import { planDelete } from '../../../lambdas/delete/plan.ts';
import { formed, now } from '../../fakes/sim/formed.ts';

const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();

function working(over: Partial<Work> = {}, lastStatus: string | undefined = 'RUNNING') {
  const { tenant, observation } = formed([{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }]);
  const work: Work = {
    name: 'mworker00',
    purpose: 'restore',
    attempt: 1,
    order: {
      orderId: 'order-1',
      bucket: 'backups',
      etcdVersion: '3.6.16',
      source: { kind: 'full', key: 'k', sha256: 's', bytes: 1, revision: 9 },
    },
    zone: 'us-east-1a',
    requestedAt: ago(70),
    taskArn: 'task/w',
    launchedAt: ago(65),
    ...over,
  };
  const task: Observation['tasks'] =
    lastStatus === undefined
      ? {}
      : { 'task/w': { taskArn: 'task/w', lastStatus, desiredStatus: lastStatus } };
  return {
    tenant: { ...tenant, work } satisfies TenantRecord,
    observation: { ...observation, tasks: { ...observation.tasks, ...task } } satisfies Observation,
  };
}

const view = (over: Partial<Work> = {}, lastStatus?: string) => {
  const { tenant, observation } = working(over, lastStatus);
  return followWork(tenant, observation, now);
};
const failed = (code: 'damaged' | 'passing'): WorkProgress => ({ state: 'failed', code, problem: 'p' });

describe('work that was ordered', () => {
  test('is launched, then waited for', () => {
    const { taskArn: _t, launchedAt: _l, ...fresh } = working().tenant.work;
    const { tenant, observation } = working();
    expect(followWork({ ...tenant, work: fresh }, observation, now)).toMatchObject({
      decision: { step: { kind: 'launch-work' } },
    });
    const progress: WorkProgress = {
      state: 'running',
      phase: 'downloading',
      bytes: 3 * 2 ** 20,
      totalBytes: 9 * 2 ** 20,
    };
    expect(view({ ip: '10.0.0.9', toldAt: ago(1), phaseSince: ago(1), progress })).toMatchObject({
      decision: { kind: 'wait', reason: 'worker mworker00 is downloading: 3.0 of 9.0 MiB' },
    });
    expect(view({ ip: '10.0.0.9', toldAt: ago(1), phaseSince: ago(3), progress })).toMatchObject({
      decision: { reason: 'worker mworker00 is downloading: 3.0 of 9.0 MiB, 1.5 MiB/s, 4.0 s left' },
    });
  });

  test.each([
    ['its task stopped', {}, 'STOPPED'],
    ['ECS does not know its task any more', {}, undefined],
    ['it never joined', { launchedAt: ago(700) }, 'RUNNING'],
    ['it has gone silent', { ip: '10.0.0.9', toldAt: ago(700) }, 'RUNNING'],
    ['it failed for a passing reason', { progress: failed('passing') }, 'RUNNING'],
  ])('is tried again by another task when %s, at most three in all', (_why, over, lastStatus) => {
    const at = (attempt: number) => {
      const { tenant, observation } = working({ ...over, attempt }, lastStatus ?? '');
      const { 'task/w': _gone, ...others } = observation.tasks;
      return followWork(
        tenant,
        lastStatus === undefined ? { ...observation, tasks: others } : observation,
        now,
      );
    };
    expect(at(1)).toMatchObject({ decision: { step: { kind: 'retry-work', name: 'mworker00' } } });
    expect(at(2)).toMatchObject({ kind: 'decision' });
    expect(at(3)).toMatchObject({ kind: 'failed', failure: { code: 'passing' } });
  });

  test('is not tried again when the backup itself is damaged', () => {
    expect(view({ progress: failed('damaged') })).toMatchObject({
      kind: 'failed',
      failure: { code: 'damaged' },
    });
  });
});

describe('the task of a worker', () => {
  test('is owned while the record names it, and unowned after', () => {
    const { tenant, observation } = working();
    expect(unownedTasks(tenant, observation, now)).toEqual({});
    const { work: _, ...without } = tenant;
    expect(Object.keys(unownedTasks(without, observation, now))).toEqual(['task/w']);
  });

  test('is stopped with the tenant', () => {
    const { tenant, observation } = working();
    const deleting: TenantRecord = {
      ...tenant,
      status: { phase: 'deleting', conditions: [], since: ago(1) },
    };
    expect(planDelete(deleting, { ...observation, names: [] }, now)).toMatchObject({
      step: { kind: 'stop-tasks', taskArns: expect.arrayContaining(['task/w']) },
    });
  });
});
