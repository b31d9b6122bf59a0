import { describe, expect, test } from 'vitest';
import { checkStep } from '../../lambdas/core/safety.ts';
import type { Step } from '../../lambdas/core/step.ts';
import { formed, nameOf, now, type Voter, zones } from '../fakes/sim/formed.ts';

const [a, b, c]: [Voter, Voter, Voter] = [{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }];
const dead = (voter: Voter): Voter => ({ ...voter, is: 'dead' });
const unsure = (voter: Voter): Voter => ({ ...voter, is: 'unsure' });
const as = (voter: Voter, state: NonNullable<Voter['state']>): Voter => ({ ...voter, state });

const remove = (index: number): Step => ({ kind: 'remove-member', member: nameOf(index), reason: 'r' });
const add = (index: number): Step => ({ kind: 'add-learner', member: nameOf(index) });
const promote = (index: number): Step => ({ kind: 'promote', member: nameOf(index) });
const want = (zone: string): Step => ({ kind: 'request-members', zones: [`us-east-1${zone}`] });
const wantWithout = (zone: string, out: string, minutes: number): Step => ({
  kind: 'request-members',
  zones: [`us-east-1${zone}`],
  zoneOut: {
    zone: `us-east-1${out}`,
    since: new Date(now.getTime() - minutes * 60_000).toISOString(),
  },
});
const instead = (zone: string, index: number): Step => ({
  kind: 'request-members',
  zones: [`us-east-1${zone}`],
  insteadOf: nameOf(index),
});
const swap = (index: number): Step => ({ kind: 'swap-binary', member: nameOf(index), version: '3.5.35' });
const lead = (from: number, to: number): Step => ({
  kind: 'move-leadership',
  from: nameOf(from),
  to: nameOf(to),
});

type Row = [string, Step, Voter[], string | undefined, Parameters<typeof formed>[1]?];

const s1: Row[] = [
  ['the dead one of three', remove(2), [a, b, dead(c)], undefined],
  ['a healthy one of three while another is dead', remove(1), [a, b, dead(c)], 'S1'],
  ['a healthy one of three when all are well', remove(2), [a, b, c], undefined],
  ['one of two dead of three: no quorum would stay', remove(2), [a, dead(b), dead(c)], 'S1'],
  ['the first of two dead of five', remove(3), [a, b, c, dead(a), dead(b)], undefined],
  ['a healthy one of five while two are dead', remove(2), [a, b, c, dead(a), dead(b)], 'S1'],
  ['the last one', remove(0), [a], 'S1'],
  ['one of two, both well', remove(1), [a, b], undefined],
  ['the well one of two, the other dead', remove(0), [a, dead(b)], 'S1'],
  ['one that etcd does not list any more', remove(2), [a, b, { ...dead(c), unlisted: true }], undefined],
  ['the dead one while a learner is on its way', remove(2), [a, b, dead(c), as(c, 'learner')], undefined],
  ['a binary swapped while all are well', swap(2), [a, b, c], undefined],
  ['a binary swapped while another is dead', swap(1), [a, b, dead(c)], 'S1'],
  ['the binary of the only member swapped', swap(0), [a], undefined],
  ['leadership to a healthy voter', lead(0, 1), [a, b, c], undefined],
  ['leadership to a dead one', lead(0, 2), [a, b, dead(c)], 'S1'],
  ['leadership to a learner', lead(0, 3), [a, b, c, as(a, 'learner')], 'S1'],
];

const s2: Row[] = [
  ['a learner while all are well', add(3), [a, b, c, as(a, 'joined')], undefined],
  ['a learner while a voter is dead', add(3), [a, b, dead(c), as(a, 'joined')], 'S2'],
  ['a learner while nobody is sure of a voter', add(3), [a, b, unsure(c), as(a, 'joined')], 'S2'],
  ['a second learner', add(4), [a, b, c, as(a, 'learner'), as(b, 'joined')], 'S2'],
  ['a learner that has not joined', add(3), [a, b, c, as(a, 'launching')], 'S2'],
  ['a learner without a leader in sight', add(3), [a, b, c, as(a, 'joined')], 'S2', { leader: undefined }],
  [
    'a learner during a downgrade',
    add(3),
    [a, b, c, as(a, 'joined')],
    'S2',
    { downgradeTo: '3.5.0', spec: { version: '3.6.16' } },
  ],
  ['a learner promoted', promote(3), [a, b, c, as(a, 'learner')], undefined],
  ['a learner promoted while a voter is dead', promote(3), [a, b, dead(c), as(a, 'learner')], 'S2'],
  ['somebody promoted who is no learner', promote(3), [a, b, c, as(a, 'joined')], 'S2'],
  ['a voter removed that only one source calls gone', remove(2), [a, b, unsure(c)], 'S2'],
  [
    'the dead one while another is doubtful and quorum holds only just',
    remove(4),
    [a, b, c, unsure(a), dead(b)],
    'S2',
  ],
  ['a healthy one while a learner is on its way', remove(2), [a, b, c, as(c, 'learner')], 'S2'],
  ['a newcomer beside another', want('b'), [a, b, c, as(a, 'launching')], 'S2'],
  ['a newcomer for the place of a dead one', instead('c', 2), [a, b, dead(c)], undefined],
  ['a newcomer for the place of one that is well', instead('c', 2), [a, b, c], 'S2'],
  [
    'a newcomer for the place of one that only one source calls gone',
    instead('c', 2),
    [a, b, unsure(c)],
    'S2',
  ],
  ['two newcomers for the place of a dead one', instead('c', 2), [a, b, dead(c), as(c, 'launching')], 'S2'],
  ['two more than the spec says', want('b'), [a, b, c, a], 'S2'],
  ['a newcomer that failed is let go at any time', remove(3), [a, b, dead(c), as(a, 'launching')], undefined],
  ['a learner let go while a voter is dead', remove(3), [a, b, dead(c), as(a, 'learner')], undefined],
  ['a swap while a learner is on its way', swap(2), [a, b, c, as(c, 'learner')], 'S2'],
];

const five = { spec: { members: 5 as const } };
const one = { spec: { members: 1 as const } };
const s4: Row[] = [
  ['a newcomer in the emptiest zone', want('c'), [a, b], undefined],
  ['a newcomer beside another, a zone being empty', want('a'), [a, b], 'S4'],
  ['the fourth of five anywhere', want('b'), [a, b, c], undefined, five],
  ['the fifth of five in another zone', want('c'), [a, b, c, b], undefined, five],
  ['the fifth of five where two are already', want('b'), [a, b, c, b], 'S4', five],
  ['a surge newcomer', want('b'), [a, b, c], undefined],
  ['a surge newcomer of the only member', want('a'), [a], undefined, one],
  ['a surge newcomer that makes two in a zone three', want('a'), [a, a, b, b, c], undefined, five],
  ['a newcomer for the place of a dead one, elsewhere', instead('b', 2), [a, b, dead(c)], 'S4'],
  ['a newcomer doubling up while the zone is held', wantWithout('a', 'b', 10), [a, c], 'S4'],
  ['a newcomer doubling up after the hold', wantWithout('a', 'b', 31), [a, c], undefined],
  ['a newcomer in the empty zone that is back', want('b'), [a, c, a], undefined],
  ['the one that leaves the rest even', remove(3), [a, b, c, a], undefined],
  ['one whose zone would be empty', remove(1), [a, b, c, a], 'S4'],
  ['one of the only two of a zone, of five', remove(3), [a, b, c, a, b], undefined],
  ['the only one of a zone, of five', remove(2), [a, b, c, a, b], 'S4'],
  ['the only one of a zone, dead', remove(2), [a, b, dead(c), a, b], undefined],
];

describe.each([
  ['S1 keeps a quorum', s1],
  ['S2 changes one thing at a time', s2],
  ['S4 keeps the spread', s4],
] as const)('%s:', (_rule, table) => {
  test.each(table)('%s', (_name, step, voters, rule, options) => {
    const { tenant, observation } = formed(voters, options);
    const verdict = checkStep({ step, tenant, observation, now, zones });
    expect(verdict.allowed ? undefined : verdict.rule).toBe(rule);
    if (!verdict.allowed) expect(verdict.reason.length).toBeGreaterThan(15);
  });
});
