import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HistoryEntry, RegisterOperation, Value } from '../e2e/support/history.ts';
import { checkHistory } from '../e2e/support/linearizability.ts';

const put = (value: string): RegisterOperation => ({ type: 'put', value });
const got = (saw: Value): RegisterOperation => ({ type: 'get', saw });
const swapped = (expected: string, value: string): RegisterOperation => ({
  type: 'cas',
  expected,
  value,
  swapped: true,
});
const notSwapped = (expected: string, value: string, saw: Value): RegisterOperation => ({
  type: 'cas',
  expected,
  value,
  swapped: false,
  saw,
});

/** [from, to, operation], `?` for an unknown outcome, `!` for one that failed for sure. */
type Line = readonly [from: number, to: number | '?' | '!', operation: RegisterOperation, key?: string];

const history = (...lines: readonly Line[]): HistoryEntry[] =>
  lines.map(([invokedAt, to, operation, key = 'k'], client) => ({
    client,
    key,
    operation,
    invokedAt,
    returnedAt: typeof to === 'number' ? to : Number.POSITIVE_INFINITY,
    outcome: to === '?' ? 'unknown' : to === '!' ? 'failed' : 'ok',
  }));

const accepted = (...lines: readonly Line[]) => checkHistory(history(...lines)).linearizable;

describe('accepts what one register can have answered', () => {
  test('nothing at all, and reads of a key that is not there', () => {
    expect(accepted()).toBe(true);
    expect(accepted([0, 1, got(null)], [2, 3, put('a')], [4, 5, got('a')])).toBe(true);
  });

  test('a read beside a write sees the old or the new value', () => {
    expect(accepted([0, 1, put('a')], [2, 5, put('b')], [3, 4, got('a')], [6, 7, got('b')])).toBe(true);
    expect(accepted([0, 1, put('a')], [2, 5, put('b')], [3, 4, got('b')], [6, 7, got('b')])).toBe(true);
  });

  test('two writes at once in either order, as long as all readers agree on it', () => {
    expect(accepted([0, 9, put('a')], [0, 9, put('b')], [1, 2, got('b')], [3, 4, got('a')])).toBe(true);
  });

  test('a write of unknown outcome that took effect late, early or never', () => {
    expect(accepted([0, 1, put('a')], [2, '?', put('b')], [3, 4, got('a')], [90, 91, got('b')])).toBe(true);
    expect(accepted([0, 1, put('a')], [2, '?', put('b')], [3, 4, got('b')])).toBe(true);
    expect(accepted([0, 1, put('a')], [2, '?', put('b')], [90, 91, got('a')])).toBe(true);
  });

  test('a chain of swaps of unknown outcome of which only the last was met', () => {
    expect(
      accepted([0, 1, put('a')], [2, '?', swapped('a', 'b')], [3, '?', swapped('b', 'c')], [5, 6, got('c')]),
    ).toBe(true);
  });

  test('a swap that found another value, and one that won against another', () => {
    expect(
      accepted(
        [0, 1, put('a')],
        [2, 6, swapped('a', 'b')],
        [2, 6, notSwapped('a', 'c', 'b')],
        [7, 8, got('b')],
      ),
    ).toBe(true);
  });

  test('keys do not disturb each other', () => {
    expect(accepted([0, 1, put('a'), 'x'], [2, 3, got(null), 'y'], [2, 3, got('a'), 'x'])).toBe(true);
  });
});

describe('rejects', () => {
  test('a stale read: a value that was overwritten before the read began', () => {
    expect(accepted([0, 1, put('a')], [2, 3, put('b')], [4, 5, got('a')])).toBe(false);
  });

  test('a lost update: an acknowledged write that nobody finds afterwards', () => {
    expect(accepted([0, 1, put('a')], [2, 3, got(null)])).toBe(false);
  });

  test('two swaps away from the same value', () => {
    expect(accepted([0, 1, put('a')], [2, 5, swapped('a', 'b')], [2, 5, swapped('a', 'c')])).toBe(false);
  });

  test('a value that nobody ever wrote', () => {
    expect(accepted([0, 1, put('a')], [2, 3, got('z')])).toBe(false);
  });

  test('the value of a write that failed for sure', () => {
    expect(accepted([0, 1, put('a')], [2, '!', put('b')], [3, 4, got('b')])).toBe(false);
  });

  test('two readers who saw two writes in different orders, and one who went back in time', () => {
    expect(
      accepted([0, 9, put('a')], [0, 9, put('b')], [1, 2, got('a')], [3, 4, got('b')], [5, 6, got('a')]),
    ).toBe(false);
    expect(accepted([0, 1, put('a')], [2, 9, put('b')], [3, 4, got('b')], [5, 6, got('a')])).toBe(false);
  });

  test('a write of unknown outcome that took effect before it was asked for, or twice', () => {
    expect(accepted([0, 1, put('a')], [2, 3, got('b')], [4, '?', put('b')])).toBe(false);
    expect(
      accepted([0, 1, put('a')], [2, '?', put('b')], [3, 4, got('b')], [5, 6, put('c')], [7, 8, got('b')]),
    ).toBe(false);
  });

  test('a swap that was refused because of the very value it expected', () => {
    expect(accepted([0, 1, put('a')], [2, 3, notSwapped('a', 'b', 'a')])).toBe(false);
  });

  test('one bad key among good ones, and it says which and what', () => {
    const verdict = checkHistory(
      history(
        [0, 1, put('a'), 'good'],
        [0, 1, put('a'), 'bad'],
        [2, 3, got(null), 'bad'],
        [2, 3, got('a'), 'good'],
      ),
    );
    expect(verdict).toMatchObject({
      linearizable: false,
      key: 'bad',
      why: expect.stringContaining('got null'),
    });
  });
});

/** Runs clients against one real register: each operation takes effect at a moment between its call and its answer. */
const realHistory = fc
  .array(
    fc.record({
      begin: fc.integer({ min: 0, max: 60 }),
      untilEffect: fc.integer({ min: 0, max: 20 }),
      untilAnswer: fc.integer({ min: 0, max: 20 }),
      kind: fc.constantFrom('put', 'get', 'cas', 'put', 'get'),
      lost: fc.constantFrom('no', 'no', 'no', 'no', 'before', 'after'),
      guess: fc.nat({ max: 3 }),
    }),
    { maxLength: 40 },
  )
  .map((plans) => {
    const values: string[] = [];
    let value: Value = null;
    return plans
      .map((plan, client) => ({ ...plan, client, effect: plan.begin + plan.untilEffect }))
      .sort((a, b) => a.effect - b.effect)
      .map(({ begin, effect, untilAnswer, kind, lost, guess, client }): HistoryEntry => {
        const fresh = `v${client}`;
        const expected = values.at(-1 - guess) ?? 'none';
        const saw: Value = value;
        const swaps = kind === 'cas' && value === expected;
        if (lost !== 'before' && (kind === 'put' || swaps)) {
          value = fresh;
          values.push(fresh);
        }
        const known = lost === 'no';
        const operation: RegisterOperation =
          kind === 'put'
            ? put(fresh)
            : kind === 'get'
              ? { type: 'get', ...(known && { saw }) }
              : { type: 'cas', expected, value: fresh, ...(known && { swapped: swaps, saw }) };
        return {
          client,
          key: 'k',
          operation,
          // Strictly before and after: who ended as another began may stand on either side of it.
          invokedAt: begin,
          returnedAt: known ? effect + untilAnswer : Number.POSITIVE_INFINITY,
          outcome: known ? 'ok' : 'unknown',
        };
      });
  });

test('accepts every history of a real register, whatever was lost on the way', () => {
  fc.assert(
    fc.property(realHistory, (entries) => {
      expect(checkHistory(entries)).toEqual({ linearizable: true });
    }),
    { numRuns: 2_000 },
  );
});

test('agrees with trying every order, on small histories of which many are bad', () => {
  const value = fc.constantFrom('a', 'b', 'c');
  const operation: fc.Arbitrary<RegisterOperation> = fc.oneof(
    value.map(put),
    fc.option(value, { nil: null }).map(got),
    fc.tuple(value, value).map(([expected, next]) => swapped(expected, next)),
    fc.tuple(value, value, fc.option(value, { nil: null })).map((all) => notSwapped(...all)),
  );
  const line = fc.record({
    operation,
    begin: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 0, max: 8 }),
    outcome: fc.constantFrom('ok', 'ok', 'ok', 'unknown', 'failed' as const),
  });
  const small = fc.array(line, { maxLength: 6 }).map((lines) =>
    lines.map(
      ({ operation: op, begin, length, outcome }, client): HistoryEntry => ({
        client,
        key: 'k',
        operation: op,
        invokedAt: begin,
        returnedAt: outcome === 'unknown' ? Number.POSITIVE_INFINITY : begin + length,
        outcome: outcome as HistoryEntry['outcome'],
      }),
    ),
  );
  const verdicts = { good: 0, bad: 0 };
  fc.assert(
    fc.property(small, (entries) => {
      const expected = anyOrderFits(entries);
      verdicts[expected ? 'good' : 'bad'] += 1;
      expect(checkHistory(entries).linearizable).toBe(expected);
    }),
    { numRuns: 5_000 },
  );
  expect(Math.min(verdicts.good, verdicts.bad)).toBeGreaterThan(500);
});

test('rejects a real history in which one read is changed to a value that nobody wrote', () => {
  fc.assert(
    fc.property(realHistory, fc.nat(), (entries, pick) => {
      const reads = entries.filter(({ operation, outcome }) => operation.type === 'get' && outcome === 'ok');
      fc.pre(reads.length > 0);
      const changed = reads[pick % reads.length];
      const mutated = entries.map((entry) =>
        entry === changed ? { ...entry, operation: got('nobody') } : entry,
      );
      expect(checkHistory(mutated).linearizable).toBe(false);
    }),
  );
});

test('is done with thousands of operations of six clients', () => {
  const entries: HistoryEntry[] = [];
  let value: Value = null;
  for (let index = 0; index < 5_000; index += 1) {
    const write = index % 3 === 0;
    const operation = write ? put(`v${index}`) : got(value);
    if (write) value = `v${index}`;
    entries.push({
      client: index % 6,
      key: 'k',
      operation,
      invokedAt: index - 3,
      returnedAt: index % 97 === 0 && write ? Number.POSITIVE_INFINITY : index + 3,
      outcome: index % 97 === 0 && write ? 'unknown' : 'ok',
    });
  }
  expect(checkHistory(entries)).toEqual({ linearizable: true });
});

/** The definition itself: some order of all that happened, and of some of the unknown, that fits times and answers. */
function anyOrderFits(entries: readonly HistoryEntry[]): boolean {
  const go = (left: readonly HistoryEntry[], value: Value): boolean => {
    if (left.every(({ outcome }) => outcome !== 'ok')) return true;
    return left.some((entry) => {
      if (entry.outcome === 'failed') return false;
      if (left.some((other) => other.outcome === 'ok' && other.returnedAt < entry.invokedAt)) return false;
      const next = stepOf(entry, value);
      return (
        next !== undefined &&
        go(
          left.filter((other) => other !== entry),
          next,
        )
      );
    });
  };
  return go(entries, null);
}

/** @returns undefined when the answer does not fit */
function stepOf({ operation, outcome }: HistoryEntry, value: Value): Value | undefined {
  if (operation.type === 'put') return operation.value;
  if (operation.type === 'get') return outcome === 'unknown' || operation.saw === value ? value : undefined;
  const unknown = outcome === 'unknown';
  if (unknown) return operation.expected === value ? operation.value : value;
  if (operation.swapped) return operation.expected === value ? operation.value : undefined;
  return operation.saw === value && operation.expected !== value ? value : undefined;
}
