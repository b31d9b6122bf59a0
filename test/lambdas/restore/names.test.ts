import { expect, test } from 'vitest';
import { planRestore } from '../../../lambdas/restore/plan.ts';
import { record, started } from './world.ts';

test('a member that seems not well at the very moment when its cluster begins to serve gets its name all the same', async () => {
  const world = await started();
  const tenant = await record(world);
  const members = Object.keys(tenant.members).sort();
  const restored = {
    ...tenant,
    status: {
      phase: 'recovering' as const,
      conditions: tenant.status.conditions,
      since: tenant.createdAt,
      reason: 'a test',
    },
    operation: { operationId: 'op', kind: 'wake' as const },
  };
  const [named, ...nameless] = members;
  const seen = { tasks: {}, nannies: {}, names: [named!] };
  const decided = planRestore(restored, seen, world.clock.now(), []);
  expect(decided).toEqual({ kind: 'step', step: { kind: 'register-names', members: nameless } });
  expect(planRestore(restored, { ...seen, names: members }, world.clock.now(), [])).toMatchObject({
    step: { kind: 'publish' },
  });
});
