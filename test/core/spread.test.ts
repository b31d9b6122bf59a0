import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseZones, spreadProblem, zoneCounts } from '../../lambdas/core/spread.ts';

const zones = ['a', 'b', 'c'];
const zone = fc.constantFrom(...zones);

test('zones chosen from nothing never differ by more than one member, and none holds a majority', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 3, 5), fc.nat(1000), (count, turn) => {
      const chosen = chooseZones(zones, [], count, turn);
      expect(chosen).toHaveLength(count);
      expect(spreadProblem(zones, chosen)).toBeUndefined();
    }),
  );
});

test('zones chosen beside members that are there never make the spread worse', () => {
  fc.assert(
    fc.property(fc.array(zone, { maxLength: 7 }), fc.nat(5), fc.nat(9), (placed, count, turn) => {
      const gap = (all: string[]) => {
        const counts = [...zoneCounts(zones, all).values()];
        return Math.max(...counts) - Math.min(...counts);
      };
      const after = gap([...placed, ...chooseZones(zones, placed, count, turn)]);
      expect(after).toBeLessThanOrEqual(Math.max(1, gap(placed)));
    }),
  );
});

test('a member lost is replaced in its own zone when that keeps the spread', () => {
  expect(chooseZones(zones, ['a', 'c'], 1, 2)).toEqual(['b']);
  expect(chooseZones(zones, ['a', 'a', 'b', 'c'], 1, 0)).not.toEqual(['a']);
});

test('odd members of many tenants do not all land in the first zone', () => {
  expect(new Set([0, 1, 2].map((turn) => chooseZones(zones, [], 1, turn)[0])).size).toBe(3);
});

test('uneven placings are named with their counts', () => {
  expect(spreadProblem(zones, ['a', 'a', 'b'])).toContain('a: 2, b: 1, c: 0');
  expect(spreadProblem(zones, ['a'])).toBeUndefined();
});
