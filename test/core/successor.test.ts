import { expect, test } from 'vitest';
import { chooseSuccessor, quorumView } from '../../lambdas/core/primitives/index.ts';
import { formed, nameOf, now, type Voter } from '../fakes/sim/formed.ts';

const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();

/** Who of three voters leads next when the first one goes. */
function next(others: readonly [Voter & { since: number }, Voter & { since: number }], asked?: number) {
  const [b, c] = others;
  const { tenant, observation } = formed([{ zone: 'a' }, b, c], {
    ...(asked !== undefined && { tenant: { replaceRequests: { [nameOf(asked)]: 'asked' } } }),
  });
  const members = Object.fromEntries(
    Object.entries(tenant.members).map(([name, member]) => {
      const at = [nameOf(1), nameOf(2)].indexOf(name);
      return [name, at < 0 ? member : { ...member, joinedAt: ago(others[at]!.since) }];
    }),
  );
  const restarted = { ...tenant, members };
  return chooseSuccessor(restarted, observation, quorumView(restarted, observation, now), nameOf(0))?.name;
}

const [b, c] = [
  { zone: 'b', since: 3_600 },
  { zone: 'c', since: 2 },
] as const;

test('leadership goes to who has run longest: etcd refuses changes under a leader that has just come', () => {
  expect(next([b, c])).toBe(nameOf(1));
  expect(
    next([
      { ...b, since: 2 },
      { ...c, since: 3_600 },
    ]),
  ).toBe(nameOf(2));
  // Asked at other moments while clients write: that says nothing.
  expect(next([{ ...b, index: 49_900 }, c])).toBe(nameOf(1));
  expect(
    next([
      { ...b, made: { swappedAt: ago(1) } },
      { ...c, since: 60 },
    ]),
  ).toBe(nameOf(2));
});

test('leadership goes neither to who lags nor, if it can be helped, to who is to be replaced', () => {
  expect(next([{ ...b, index: 48_000 }, c])).toBe(nameOf(2));
  expect(next([b, c], 1)).toBe(nameOf(2));
});
