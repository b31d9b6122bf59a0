import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { type CliWorld, createCliWorld } from './world.ts';

let world: CliWorld;
beforeEach(async () => {
  world = await createCliWorld();
  expect((await world.run(['create', 'acme'])).code).toBe(0);
  await world.api.finishCreation('acme');
});
afterEach(() => world.close());

const stored = async (): Promise<TenantRecord> => (await world.api.store.get('acme'))!;
async function write(change: (tenant: TenantRecord) => TenantRecord): Promise<void> {
  const tenant = await stored();
  await world.api.store.save(
    { ...change(tenant), recordVersion: tenant.recordVersion + 1 },
    tenant.recordVersion,
  );
}
/** Ends the operation under way as its function would, as soon as somebody asks for it. */
function endWhenAsked(): void {
  world.hooks.before = async (method, url) => {
    const { operation: current } = await stored();
    if (method !== 'GET' || !url.includes('/operations/') || current === undefined) return undefined;
    const operation = (await world.api.store.getOperation('acme', current.operationId))!;
    const at = operation.createdAt;
    const steps = [{ name: 'promote', detail: 'm1', startedAt: at, endedAt: at, outcome: 'done' as const }];
    const done = { state: 'succeeded' as const, message: 'Done', endedAt: at, steps };
    await world.api.store.putOperation({ ...operation, ...done });
    await write(({ operation: _, ...tenant }) => tenant);
    return undefined;
  };
}

describe('the fleet', () => {
  test('patch begins, status tells, stop and resume do so', async () => {
    const version = world.api.deps.versions.offered.at(-1)!;
    const begun = await world.run([
      'fleet',
      'patch',
      '--version',
      version,
      '--canary',
      'acme',
      '--bake-minutes',
      '5',
    ]);
    expect([begun.code, begun.out]).toEqual([
      0,
      expect.stringContaining(`Fleet patch to etcd ${version}: running, wave canary\n0 tenants patched`),
    ]);
    expect(await world.api.store.getRollout()).toMatchObject({ canary: ['acme'], bakeMinutes: 5 });
    const stopped = await world.run(['fleet', 'stop', '--reason', 'looking into it']);
    expect(stopped.out).toMatch(/: stopped, wave canary\n.*\nStopped at .* by .*: looking into it/);
    expect((await world.run(['fleet', 'resume'])).out).toContain(': running');
    const { rollout } = JSON.parse((await world.run(['fleet', 'status', '--json'])).out);
    expect(rollout).toMatchObject({ state: 'running', version });
  });

  test('patch without a version is wrong use', async () => {
    const { code, err } = await world.run(['fleet', 'patch']);
    expect([code, err]).toEqual([2, expect.stringContaining('nanny fleet patch --version 3.6.16')]);
  });
});

describe('operations', () => {
  test('scale --wait shows the steps and ends with what is', async () => {
    endWhenAsked();
    const { code, out, err } = await world.run(['scale', 'acme', '--members', '5', '--wait']);
    expect(code).toBe(0);
    expect(err).toMatch(/^Scaling "acme"\n +\d+ ms {2}✓ promote: m1/);
    expect(out).toMatch(/^Tenant "acme" has 3 members, after \d+ ms\.$/);
    expect((await stored()).spec.members).toBe(5);
  });

  test('rotate-ca asks for another authority, and at once only when told so', async () => {
    expect((await world.run(['rotate-ca', 'acme'])).out).toContain('The rotate-ca of "acme" is pending');
    expect((await stored()).pki?.rollover).toMatchObject({ immediately: false });
    endWhenAsked();
    const args = ['rotate-ca', 'acme', '--retire-old-now', '--reason', 'leaked', '--wait'];
    const { code, out } = await world.run(args);
    expect([code, out]).toEqual([0, expect.stringContaining('trusts the new certificate authority alone')]);
    expect((await stored()).pki?.rollover).toMatchObject({ immediately: true, reason: 'leaked' });
  });

  test('without --wait it says how to follow', async () => {
    const { out } = await world.run(['resize', 'acme', '--size', 'medium', '--quota', '1GiB']);
    expect(out).toMatch(/^The resize of "acme" is pending \((\w+)\)\. Follow it: nanny operations acme \1$/);
    expect((await stored()).spec).toMatchObject({ size: 'medium', quotaMiB: 1024, storageGiB: 10 });
  });

  test('patch takes the newest of a minor, and of its own minor when none is named', async () => {
    expect((await world.run(['patch', 'acme', '--version', '3.5'])).code).toBe(0);
    expect((await stored()).spec.version).toBe('3.5.35');
    await write(({ operation: _, ...tenant }) => ({
      ...tenant,
      spec: { ...tenant.spec, version: '3.6.15' },
    }));
    const { code } = await world.run(['patch', 'acme']);
    expect(code).toBe(0);
    expect((await stored()).spec.version).toBe('3.6.16');
    const unknown = await world.run(['patch', 'acme', '--version', '3.4']);
    expect([unknown.code, unknown.err]).toEqual([
      1,
      expect.stringMatching(/No version of etcd 3\.4 is offered/),
    ]);
  });

  test('a patch that changes nothing says so', async () => {
    const { code, out } = await world.run(['patch', 'acme', '--wait']);
    expect([code, out]).toEqual([0, 'Tenant "acme" runs etcd 3.6.16: nothing was left to do.']);
  });

  test('a second operation is refused with the one that runs', async () => {
    await world.run(['patch', 'acme', '--version', '3.5']);
    const { code, err } = await world.run(['scale', 'acme', '--members', '5']);
    expect([code, err]).toEqual([1, expect.stringMatching(/has a patch under way/)]);
  });

  test('replace names member and reason, and get shows it', async () => {
    const { json } = await world.run(['replace', 'acme', 'mbbbbbbbb', '--reason', 'slow disk', '--json']);
    expect(json.operation).toMatchObject({ kind: 'replace', state: 'pending' });
    expect((await world.run(['get', 'acme'])).out).toMatch(/^Replacing {3}mbbbbbbbb: slow disk$/m);
    expect((await world.run(['replace', 'acme', 'mzzzzzzzz'])).err).toMatch(/has no member "mzzzzzzzz"/);
  });

  test.each([['scale'], ['resize'], ['update']])('%s without a wish is wrong use', async (command) => {
    const { code, err } = await world.run([command, 'acme']);
    expect([code, err]).toEqual([2, expect.stringMatching(/^Say (what to change|how many)/)]);
  });
});

describe('automation', () => {
  test('is paused and resumed, and get shows who and why', async () => {
    expect((await world.run(['pause', 'acme', '--reason', 'drill'])).out).toMatch(/nanny resume acme$/);
    expect((await world.run(['get', 'acme'])).out).toMatch(/^Paused +since now by .*paula: drill$/m);
    expect((await world.run(['resume', 'acme'])).code).toBe(0);
    expect((await stored()).paused).toBeUndefined();
  });

  test('policy and window are shown where they differ from the usual', async () => {
    const words = ['--recovery', 'approve', '--unreachable', '30s', '--window', 'sat,sun 03:30 2h'];
    const { out } = await world.run(['update', 'acme', ...words]);
    expect(out).toContain('recovery auto → approve');
    expect((await stored()).spec).toMatchObject({
      unreachableSeconds: 30,
      maintenanceWindow: { days: ['sat', 'sun'], start: '03:30', minutes: 120 },
    });
    const shown = (await world.run(['get', 'acme'])).out;
    expect(shown).toMatch(/^Recovery +only when approved/m);
    expect(shown).toMatch(/^Window +sat, sun 03:30 UTC, 120 min$/m);
    await world.run(['update', 'acme', '--window', 'none']);
    expect((await stored()).spec.maintenanceWindow).toBeUndefined();
    expect((await world.run(['update', 'acme', '--window', 'whenever'])).code).toBe(2);
  });

  test('a recovery that waits is shown with its loss, and approved', async () => {
    expect((await world.run(['approve', 'acme'])).err).toMatch(/No recovery of tenant "acme" waits/);
    await write((tenant) => ({
      ...tenant,
      remediation: {
        operationId: 'op-1',
        kind: 'recover',
        since: tenant.createdAt,
        reason: 'at most 1 s of writes would be lost',
        recovery: { incarnation: 1, survivor: 'maaaaaaaa', key: 'k', mustBeApproved: true },
      },
    }));
    const shown = (await world.run(['get', 'acme'])).out;
    expect(shown).toMatch(/^Repair +recover since now: at most 1 s of writes would be lost$/m);
    expect(shown).toContain('nanny approve acme');
    expect((await world.run(['approve', 'acme'])).code).toBe(0);
    expect((await stored()).remediation?.approved).toBe(true);
  });
});
