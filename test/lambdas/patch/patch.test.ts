import { describe, expect, test } from 'vitest';
import { created, settled } from '../scale/support.ts';

describe('patch', () => {
  test.each([
    ['3.6.14', '3.6.16'],
    ['3.5.35', '3.6.16'],
    ['3.6.16', '3.7.3'],
    ['3.6.16', '3.5.35'],
    ['3.7.3', '3.6.16'],
  ])('brings a cluster from %s to %s', async (from, to) => {
    const world = await created({}, { version: from });
    await world.changeSpec('acme', 'patch', { version: to });
    expect(await settled(world)).toEqual([]);
    const tenant = (await world.store.get('acme'))!;
    expect(Object.values(tenant.members).map((member) => member.made?.version)).toEqual([to, to, to]);
  });
});
