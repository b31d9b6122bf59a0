import { expect, test } from 'vitest';
import { leaving, withMembers } from '../../lambdas/core/members.ts';
import { clearLeaving, quorumView } from '../../lambdas/core/primitives/index.ts';
import { formed, nameOf, now, type Voter } from '../fakes/sim/formed.ts';

const voters: Voter[] = [{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }];
const gone = nameOf(3);

/** What comes next so long after the fourth one, whose task has stopped, was given up as `state`. */
function next(state: 'joined' | 'launching', secondsAfter: number, listed = false) {
  const { tenant, observation } = formed([...voters, { zone: 'a', state, is: 'dead' }]);
  const left = withMembers(tenant, [leaving(tenant.members[gone]!, 'it stopped', now.toISOString())]);
  const later = new Date(now.getTime() + secondsAfter * 1_000);
  const view = quorumView(left, observation, later);
  const entry = {
    etcdId: 'e4',
    name: '',
    peerUrls: ['https://10.0.0.4:2380'],
    clientUrls: [],
    isLearner: true,
    reachable: false,
  };
  const seen = listed ? { ...view, listed: [...view.listed!, entry] } : view;
  return clearLeaving(left, observation, later, seen);
}

test('who may have been added to etcd is not forgotten while a call that has had no answer can still be carried out', () => {
  expect(next('joined', 1)).toMatchObject({ kind: 'wait', name: 'wait-for-member-list' });
  expect(next('joined', 1, true)).toMatchObject({ step: { kind: 'remove-member', member: gone } });
  expect(next('joined', 11)).toMatchObject({ step: { kind: 'forget-members', members: [gone] } });
});

test('who cannot have been added is forgotten at once', () => {
  expect(next('launching', 1)).toMatchObject({ step: { kind: 'forget-members', members: [gone] } });
});
