import { describe, expect, test } from 'vitest';
import { created, settled } from './support.ts';

describe('scale', () => {
  const pairs = [1, 3, 5].flatMap((from) => [1, 3, 5].map((to) => [from, to] as const));
  test.each(pairs.filter(([from, to]) => from !== to))(
    'brings a cluster from %i to %i members',
    async (from, to) => {
      const world = await created({}, { members: from as 1 | 3 | 5 });
      await world.changeSpec('acme', 'scale', { members: to as 1 | 3 | 5 });
      expect(await settled(world)).toEqual([]);
      const tenant = (await world.store.get('acme'))!;
      expect(Object.keys(tenant.members)).toHaveLength(to);
      expect(tenant.observedGeneration).toBe(2);
    },
  );
});
