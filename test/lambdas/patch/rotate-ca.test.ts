import { describe, expect, test } from 'vitest';
import { certificatesIn } from '../../../lambdas/core/authority.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { tenantRecordSchema } from '../../../lambdas/core/model/tenant.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import type { CrashPoint } from '../../fakes/sim/crash.ts';
import { problemsOf, type World, type WorldOptions } from '../../fakes/sim/world.ts';
import { created, settled, stepsOf } from '../scale/support.ts';

const hour = 3_600;
const record = async (world: World): Promise<TenantRecord> => (await world.store.get('acme'))!;
const inHours = (world: World, hours: number): string =>
  new Date(world.clock.now().getTime() + hours * hour * 1000).toISOString();

async function ask(world: World, immediately: boolean): Promise<string> {
  const { pki } = await record(world);
  const since = world.clock.now().toISOString();
  const rollover = { phase: 'wanted' as const, since, reason: 'a test', immediately };
  return world.changeSpec('acme', 'rotate-ca', {}, { pki: { ...pki!, rollover } });
}

/** As if certificates had been issued; undefined: in a record of before they were counted. */
async function issueUntil(world: World, clientsUntil: string | undefined): Promise<void> {
  await updateTenant(world, await record(world), (stored) => {
    const { clientsUntil: _before, ...pki } = stored.pki!;
    return { ...stored, pki: { ...pki, ...(clientsUntil !== undefined && { clientsUntil }) } };
  });
}

const trust = (world: World) =>
  world.ecs
    .alive('acme')
    .map(({ memberName }) => world.members.members.get(memberName)!.certificates!)
    .map(({ issuer, trusted, bundle }) => ({ issuer, trusted, bundle }));
const bundleOf = async (world: World): Promise<string[]> =>
  certificatesIn((await record(world)).pki!.caBundle).map(world.pki.fingerprint);
const restarts = async (world: World): Promise<number> =>
  (await world.store.listEvents('acme', { limit: 500 })).items.filter(({ message }) =>
    message.includes('has read whom to trust anew'),
  ).length;
const kinds = async (world: World): Promise<string[]> =>
  (await world.store.listOperations('acme', { limit: 50 })).items.map(({ kind }) => kind).reverse();
const only = (authority: string) => ({
  issuer: authority,
  trusted: [authority],
  bundle: [authority],
});

/** Everybody is on the second authority and knows no other. */
async function open(world: World, authority = 'CA 2 of acme'): Promise<string[]> {
  const problems = await problemsOf(world, 'acme');
  for (const each of trust(world)) {
    if (JSON.stringify(each) !== JSON.stringify(only(authority))) problems.push(JSON.stringify(each));
  }
  const { pki } = await record(world);
  if (pki!.rollover !== undefined) problems.push(`phase ${pki!.rollover.phase}`);
  if ((await bundleOf(world)).join() !== authority) problems.push(`bundle ${await bundleOf(world)}`);
  if (pki!.controlPlaneCertificate !== `control-plane by ${authority}`) problems.push('control plane');
  return problems;
}

describe('another certificate authority', () => {
  test.each([1, 3, 5] as const)(
    'at once: every one of %i members ends with it alone, the leader restarted last',
    async (members) => {
      const world = await created({}, { members });
      // Long ago: nobody is young and therefore coming up.
      await world.settle(20 * 60);
      await issueUntil(world, inHours(world, 300));
      await ask(world, true);
      expect(await settled(world)).toEqual([]);
      expect(await open(world)).toEqual([]);
      expect(await restarts(world)).toBe(2 * members);
      // No task was replaced, and nobody was taken for sick.
      const tasks = [...world.ecs.tasks.values()].filter(
        ({ memberName }) => world.members.members.get(memberName)?.boot,
      );
      expect(tasks).toHaveLength(members);
      expect(await kinds(world)).toEqual(['create', 'rotate-ca']);
      const steps = await stepsOf(world, 'rotate-ca');
      expect(steps.filter((step) => step === 'move-leadership').length).toBe(members === 1 ? 0 : 2);
      const { conditions } = (await record(world)).status;
      expect(conditions.find(({ type }) => type === 'AuthorityCurrent')).toMatchObject({ status: 'True' });
    },
  );

  test('with clients: their certificates are of it first, members follow when the last old one has ended', async () => {
    const world = await created();
    await issueUntil(world, inHours(world, 2));
    await ask(world, false);
    expect(await settled(world)).toEqual([]);
    const { pki } = await record(world);
    expect(pki!.rollover).toMatchObject({ phase: 'grace', until: pki!.clientsUntil });
    const both = ['CA 1 of acme', 'CA 2 of acme'];
    expect(trust(world)).toEqual(Array(3).fill({ issuer: both[0], trusted: both, bundle: both }));
    expect(await restarts(world)).toBe(3);

    // The cluster is free for other work meanwhile, and a newcomer fits in.
    await world.changeSpec('acme', 'scale', { members: 5 });
    expect(await settled(world)).toEqual([]);
    expect(trust(world)).toEqual(Array(5).fill({ issuer: both[0], trusted: both, bundle: both }));

    await world.settle(1.9 * hour);
    expect((await record(world)).pki!.rollover).toMatchObject({ phase: 'grace' });
    await world.settle(0.2 * hour);
    expect(await open(world)).toEqual([]);
    expect(await kinds(world)).toEqual(['create', 'rotate-ca', 'scale', 'rotate-ca']);
  });

  test('by itself at two thirds of its life, and again of the next one', async () => {
    const world = await created({ authorityLifeMs: 3 * hour * 1000 });
    await world.settle(1.9 * hour);
    expect(await bundleOf(world)).toEqual(['CA 1 of acme']);
    await world.settle(0.2 * hour);
    // Nobody had a certificate of it: there was nothing to wait for.
    expect(await open(world)).toEqual([]);
    await world.settle(2 * hour);
    expect(await open(world, 'CA 3 of acme')).toEqual([]);
  });

  test('in a record of before certificates were counted, clients have a year', async () => {
    const world = await created();
    await issueUntil(world, undefined);
    await ask(world, false);
    expect(await settled(world)).toEqual([]);
    const { rollover } = (await record(world)).pki!;
    const until = rollover?.phase === 'grace' ? Date.parse(rollover.until) : 0;
    expect(until - world.clock.now().getTime()).toBeGreaterThan(364 * 24 * hour * 1000);
  });

  test('a record of before it was known is read, and still gets its rotation', async () => {
    const world = await created({ authorityLifeMs: 3 * hour * 1000 });
    await updateTenant(world, await record(world), (stored) => {
      const { caBundle, caKey, controlPlaneCertificate, controlPlaneKey } = stored.pki!;
      return { ...stored, pki: { caBundle, caKey, controlPlaneCertificate, controlPlaneKey } };
    });
    expect(tenantRecordSchema.parse(await record(world))).toEqual(await record(world));
    // Its CA ends ten years after the tenant was made, not with the CAs that are made today.
    await world.settle(3 * hour);
    expect(await bundleOf(world)).toEqual(['CA 1 of acme']);
    await ask(world, true);
    expect(await settled(world)).toEqual([]);
    expect(await open(world)).toEqual([]);
  });

  test('a member lost in the middle is replaced first, by one that trusts both', async () => {
    const world = await created();
    await world.settle(20 * 60);
    await ask(world, true);
    await world.until(async () => (await restarts(world)) === 1, 120);
    world.ecs.end(world.ecs.alive('acme')[1]!, 'Host is gone');
    await world.settle(1);
    expect(await settled(world)).toEqual([]);
    expect(await open(world)).toEqual([]);
    expect(await kinds(world)).toEqual(['create', 'rotate-ca', 'remediate']);
  });

  test('two of three lost in the middle: the new incarnation goes on with it', async () => {
    const world = await created();
    await world.settle(20 * 60);
    await ask(world, true);
    await world.until(async () => (await record(world)).pki!.rollover?.phase === 'leaves', 300);
    for (const task of world.ecs.alive('acme').slice(0, 2)) world.ecs.end(task, 'Host is gone');
    await world.settle(1);
    expect(await settled(world, 900)).toEqual([]);
    expect((await record(world)).incarnation.number).toBe(2);
    expect(await open(world)).toEqual([]);
  });

  test('waits for the maintenance window; at once does not', async () => {
    const maintenanceWindow = { days: ['sun' as const], start: '03:00', minutes: 60 };
    const world = await created({}, { maintenanceWindow });
    await ask(world, false);
    await world.settle(600);
    expect((await record(world)).pki!.rollover?.phase).toBe('wanted');
    const { pki } = await record(world);
    await updateTenant(world, await record(world), (stored) => ({
      ...stored,
      pki: { ...pki!, rollover: { ...pki!.rollover!, immediately: true } },
    }));
    expect(await settled(world, 1_200)).toEqual([]);
    expect(await open(world)).toEqual([]);
  });

  test('does nothing to a member whose nanny cannot tell whom it trusts, and says what to do', async () => {
    const world = await created();
    world.members.alter = ({ certificates: _untold, ...status }) => status;
    const operationId = await ask(world, true);
    await world.settle(300);
    expect(await restarts(world)).toBe(0);
    const operation = await world.store.getOperation('acme', operationId);
    expect(operation?.message).toContain('Patch the tenant');
  });
});

describe('a crash of the function at any of its calls', () => {
  const reads = ['get', 'getOperation', 'listOperations', 'status', 'describe', 'list', 'listInstances'];
  async function run(options: WorldOptions): Promise<World> {
    const world = await created(options);
    await ask(world, true);
    for (let rounds = 0; rounds < 40 && (await open(world)).length > 0; rounds++) await world.settle(15);
    await world.settle(130);
    return world;
  }

  test('before or after it, every member ends with the new authority alone', async () => {
    const never: CrashPoint = { call: -1, when: 'before' };
    const plain = await run({ crash: { function: 'patch', point: never } });
    expect(await open(plain)).toEqual([]);
    const writes = plain.ports.calls.flatMap(({ method, port }, index) =>
      reads.includes(method) || method === 'appendEvent'
        ? []
        : [{ name: `${port}.${method}`, call: index + 1 }],
    );
    expect(writes.filter(({ name }) => name === 'nannies.renew').length).toBe(9);
    const failures: string[] = [];
    const seen = new Set<string>();
    for (const [nth, { name, call }] of writes.entries()) {
      // A stretch of the same writes is one case.
      const stretch = writes.slice(Math.max(0, nth - 3), nth + 1).map((write) => write.name);
      if (seen.has(stretch.join())) continue;
      seen.add(stretch.join());
      for (const when of ['before', 'after'] as const) {
        const world = await run({ crash: { function: 'patch', point: { call, when } } });
        const problems = await open(world, await newest(world));
        if (!world.ports.crashed) problems.push('it did not crash');
        if (world.ecs.tasks.size !== 3) problems.push(`${world.ecs.tasks.size} tasks`);
        if (problems.length > 0) failures.push(`${when} ${name} (${call}): ${problems.join('; ')}`);
      }
    }
    expect(failures).toEqual([]);
  }, 120_000);

  /** A crash between making and saving leaves the first one unused: nobody has it. */
  const newest = async (world: World): Promise<string> => (await bundleOf(world))[0]!;
});
