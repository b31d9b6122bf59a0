import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { checkStep } from '../../lambdas/core/safety.ts';
import type { Observation, Step } from '../../lambdas/core/step.ts';
import { ago, lostQuorum, member, names, now, zones } from './lost-quorum.ts';

const key = 'cell-1/acme/1/full/op-mcccccccc.snap';
const source = { kind: 'survivor' as const, key, sha256: 'f', bytes: 1, revision: 9, bumpRevision: 1 };
const recovery = { incarnation: 1, survivor: 'mcccccccc', key, mustBeApproved: false };

const tenant = (
  remediation: Partial<NonNullable<TenantRecord['remediation']>>,
  over: Partial<TenantRecord> = {},
) => lostQuorum({ recovery, ...remediation }, over);

const self = (raftIndex: number) => ({
  etcdId: '3',
  revision: raftIndex,
  clusterId: 'c',
  raftTerm: 2,
  raftIndex,
  raftAppliedIndex: 9,
  isLearner: false,
});
const seen = (stopped: number[], alive: Record<string, number>): Observation => ({
  names: [],
  tasks: Object.fromEntries(
    names.map((_, index) => {
      const status = stopped.includes(index) ? 'STOPPED' : 'RUNNING';
      return [`task/${index}`, { taskArn: `task/${index}`, lastStatus: status, desiredStatus: status }];
    }),
  ),
  nannies: Object.fromEntries(
    Object.entries(alive).map(([name, index]) => [
      name,
      {
        reachable: true,
        status: { incarnation: 1, etcd: { state: 'not-ready' }, alarms: [], self: self(index) } as never,
      },
    ]),
  ),
});
const twoDead = seen([0, 1], { mcccccccc: 9 });
const check = (step: Step, record: TenantRecord, observation: Observation): string | undefined => {
  const verdict = checkStep({ step, tenant: record, observation, now, zones });
  return verdict.allowed ? undefined : verdict.rule;
};
const save: Step = { kind: 'save-survivor', member: 'mcccccccc', key };
const fence: Step = { kind: 'stop-tasks', taskArns: ['task/2'], reason: 'r' };
const anew: Step = { kind: 'new-incarnation', incarnation: 1, source };
const saved = { recovery: { ...recovery, source } };

describe('S5, S6, S7', () => {
  test.each<[string, Step, TenantRecord, Observation, string | undefined]>([
    ['a survivor is saved when a majority is gone', save, tenant({}), twoDead, undefined],
    ['not before it has lasted', save, tenant({ quorumLostSince: ago(2) }), twoDead, 'S5'],
    ['not while a majority is there', save, tenant({}), seen([0], { mcccccccc: 9, mbbbbbbbb: 9 }), 'S5'],
    ['not without a decision', save, tenant({ kind: 'remediate' }), twoDead, 'S5'],
    [
      'not without the approval asked for',
      save,
      tenant({ recovery: { ...recovery, mustBeApproved: true } }),
      twoDead,
      'S5',
    ],
    [
      'with it',
      save,
      tenant({ approved: true, recovery: { ...recovery, mustBeApproved: true } }),
      twoDead,
      undefined,
    ],
    ['never from one that does not answer', { ...save, member: 'maaaaaaaa' }, tenant({}), twoDead, 'S6'],
    [
      'never over another incarnation’s keys',
      { ...save, key: 'cell-1/acme/0/full/x.snap' },
      tenant({}),
      twoDead,
      'S7',
    ],
    ['nobody is fenced before the survivor is saved', fence, tenant({}), twoDead, 'S1'],
    ['everybody is once it is', fence, tenant(saved), twoDead, undefined],
    [
      'but not if a majority came back',
      fence,
      tenant(saved),
      seen([0], { mcccccccc: 9, mbbbbbbbb: 9 }),
      'S5',
    ],
    [
      'nor if one that was out of reach has more than what was saved',
      fence,
      tenant(saved),
      seen([0, 1], { mcccccccc: 10 }),
      'S6',
    ],
    ['no new incarnation while an old task runs', anew, tenant(saved), twoDead, 'S5'],
    ['nor from anything but what was saved', anew, tenant({}), seen([0, 1, 2], {}), 'S5'],
    ['only when all are STOPPED', anew, tenant(saved), seen([0, 1, 2], {}), undefined],
  ])('%s', (_name, step, record, observation, rule) => {
    expect(check(step, record, observation)).toBe(rule);
  });

  test('the best source is the one with the highest term and index (S6)', () => {
    const five = [...names, 'mdddddddd', 'meeeeeeee'];
    const members = Object.fromEntries(five.map((name, index) => [name, member(name, index % 3)]));
    const observation = {
      ...seen([], { mcccccccc: 9, mdddddddd: 12 }),
      tasks: {},
    };
    const record = tenant({}, { members });
    expect(check(save, record, observation)).toBe('S6');
    expect(check({ ...save, member: 'mdddddddd' }, record, observation)).toBe(undefined);
  });
});
