import { describe, expect, test } from 'vitest';
import { Faults } from '../../local/faults.ts';

const call = (event?: string) => ({
  principal: 'arn:aws:iam::000000000000:role/create',
  function: 'create',
  invocation: 'i',
  event,
  service: 'ecs',
  operation: 'RunTask',
});
const look = (tenantId: string) =>
  JSON.stringify({ Records: [{ messageId: '1', body: JSON.stringify({ tenantId }) }] });
const at = new Date(0);

describe('a fault bound to an event', () => {
  test('strikes the nth call for that event only, once', () => {
    const faults = new Faults();
    faults.add({
      match: { event: '"acme\\"', operation: 'RunTask', nth: 2 },
      action: { type: 'crash-after' },
    });
    const struck = ['acme', 'other', 'other', 'acme-2', 'acme', 'acme'].map(
      (tenantId) => faults.begin(call(look(tenantId)), at).action?.type,
    );
    expect(struck).toEqual([undefined, undefined, undefined, undefined, 'crash-after', undefined]);
  });

  test('never strikes a call that serves no event', () => {
    const faults = new Faults();
    faults.add({ match: { event: 'acme' }, action: { type: 'deny' } });
    expect(faults.begin(call(), at).action).toBeUndefined();
  });

  test('is not needed: without it a rule holds for all', () => {
    const faults = new Faults();
    faults.add({ match: { operation: 'RunTask' }, action: { type: 'throttle' } });
    expect(faults.begin(call(), at).action?.type).toBe('throttle');
    expect(faults.begin(call(look('acme')), at).action?.type).toBe('throttle');
  });
});

test('calls are found by the event they served, and the record does not carry it', () => {
  const faults = new Faults();
  for (const tenantId of ['one', 'two', 'one']) faults.begin(call(look(tenantId)), at);
  expect(faults.calls({ event: 'one' }).map(({ seq }) => seq)).toEqual([1, 3]);
  expect(JSON.stringify(faults.calls())).not.toContain('Records');
});
