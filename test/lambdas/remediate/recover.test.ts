import { describe, expect, test } from 'vitest';
import { problemsOf } from '../../fakes/sim/world.ts';
import { healed, record, started, told } from './world.ts';

describe('quorum lost', () => {
  test('with one survivor: saved, fenced, and a new incarnation from it, without a human', async () => {
    const world = await started();
    const [a, b, c] = world.ecs.alive('acme');
    const clusterId = (await record(world)).incarnation;
    world.ecs.end(a!, 'Host is gone');
    world.ecs.end(b!, 'Host is gone');
    const from = world.clock.now().getTime();
    await world.settle(1);
    await world.until(healed(world), 300);
    console.log((world.clock.now().getTime() - from) / 1000, (await told(world)).slice(6));
    expect(await problemsOf(world, 'acme')).toEqual([]);
    const tenant = await record(world);
    expect(tenant.incarnation).toMatchObject({ state: 'formed', number: 2 });
    expect(tenant.incarnation).not.toEqual(clusterId);
    for (const old of [a, b, c]) expect(Object.keys(tenant.members)).not.toContain(old!.memberName);
    expect(c!.lastStatus).toBe('STOPPED');
  });
});
