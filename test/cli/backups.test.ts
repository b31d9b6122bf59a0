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
const posted = () => world.requests.filter(({ method }) => method === 'POST');

/** As the backup function writes it. */
async function backedUp(): Promise<void> {
  const at = world.api.deps.clock.now().toISOString();
  world.api.bucket.objects.set('cell-1/acme/1/full/01KB0000000000000000000000.snap', 48_211);
  await world.api.store.putBackup({
    backupId: '01KB0000000000000000000000',
    tenantId: 'acme',
    incarnation: 1,
    key: 'cell-1/acme/1/full/01KB0000000000000000000000.snap',
    sha256: 'ab'.repeat(32),
    bytes: 3 * 2 ** 20,
    revision: 48_211,
    etcdVersion: '3.6.16',
    member: 'maaaaaaaa',
    reason: 'scheduled',
    startedAt: at,
    contentAt: at,
    endedAt: at,
  });
}

describe('the backup policy', () => {
  test('is given with create, and get shows it', async () => {
    await world.run(['create', 'bravo', '--backup-interval', '30m', '--drill-interval', '12h']);
    const put = world.requests.filter(({ method }) => method === 'PUT').at(-1)!;
    expect(JSON.parse(put.body)).toEqual({ spec: { backup: { intervalMinutes: 30, drillHours: 12 } } });
    expect((await world.run(['get', 'bravo'])).out).toContain(
      'Backups     every 30 min, any second of 24 h, proven every 12 h',
    );
  });
});

describe('backups', () => {
  test('backup asks for one and says how to follow it', async () => {
    const { code, out } = await world.run(['backup', 'acme']);
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/^The backup of "acme" is pending .*nanny operations acme/),
    ]);
    expect((await stored()).backups?.wanted?.reason).toBe('on-demand');
  });

  test('drill asks for a proof; without a backup there is nothing to prove', async () => {
    const { code, err } = await world.run(['drill', 'acme']);
    expect([code, err]).toEqual([1, expect.stringContaining('nanny backup acme')]);
    await backedUp();
    const at = '2026-11-22T12:00:00.000Z';
    const last = { backupId: '01K', incarnation: 1, revision: 1, bytes: 1, reason: 'scheduled' as const };
    const before = await stored();
    await world.api.store.save(
      {
        ...before,
        recordVersion: before.recordVersion + 1,
        backups: { last: { ...last, startedAt: at, contentAt: at, endedAt: at } },
      },
      before.recordVersion,
    );
    const asked = await world.run(['drill', 'acme']);
    expect([asked.code, asked.out]).toEqual([0, expect.stringContaining('The drill of "acme" is pending')]);
    expect((await stored()).operation?.kind).toBe('drill');
    const again = await world.run(['drill', 'acme', '--json']);
    expect(JSON.parse(again.out).operation.operationId).toBe((await stored()).operation?.operationId);
    expect((await world.run(['backup', 'acme'])).err).toContain('has a drill under way');
  });

  test('backups says what is damaged, and what lies behind something that is', async () => {
    await backedUp();
    const [backup] = await world.api.store.listBackups('acme');
    const at = backup!.endedAt;
    const damagedSegments = [{ key: 'k', at, problem: 'it is no frame' }];
    await world.api.store.putBackup({ ...backup!, damagedSegments });
    expect((await world.run(['backups', 'acme'])).out).toContain('1 segment behind it DAMAGED');
    await world.api.store.putBackup({ ...backup!, damaged: { at, problem: 'its hash differs' } });
    expect((await world.run(['backups', 'acme'])).out).toContain('DAMAGED: its hash differs');
  });

  test('backups lists what there is', async () => {
    expect((await world.run(['backups', 'acme'])).out).toContain('"acme" has no backup yet.');
    await backedUp();
    const { out } = await world.run(['backups', 'acme']);
    expect(out).toMatch(/^01KB0{22} .* 48211 +3\.0 MiB +scheduled +-$/m);
  });
});

describe('restore', () => {
  test('wants to know what, and says when there is nothing', async () => {
    expect((await world.run(['restore', 'acme'])).code).toBe(2);
    const { code, err } = await world.run(['restore', 'acme', '--to', 'newest', '--yes']);
    expect([code, err]).toEqual([1, expect.stringContaining('Nothing is restored of "acme"')]);
  });

  test('in place begins only with --yes; --dry-run never does', async () => {
    await backedUp();
    const dry = await world.run(['restore', 'acme', '--to', 'newest', '--dry-run']);
    expect([dry.code, dry.out]).toEqual([0, expect.stringContaining('Revision 48211 of "acme"')]);
    const unsure = await world.run(['restore', 'acme', '--to', 'newest']);
    expect([unsure.code, unsure.err]).toEqual([1, expect.stringContaining('--to newest --yes')]);
    expect(posted().every(({ body }) => JSON.parse(body).dryRun)).toBe(true);
    const begun = await world.run(['restore', 'acme', '--to', '48211', '--yes']);
    expect([begun.code, begun.out]).toEqual([0, expect.stringContaining('The restore of "acme" is pending')]);
    expect((await stored()).restore?.target).toEqual({ kind: 'revision', revision: 48_211 });
  });

  test('into a new tenant touches nothing of the old one', async () => {
    await backedUp();
    const before = await stored();
    const { code, out } = await world.run(['restore', 'acme', '--to', 'newest', '--into', 'acme-then']);
    expect([code, out]).toEqual([0, expect.stringContaining('The create of "acme-then" is pending')]);
    expect(await stored()).toEqual(before);
    await world.run(['restore', 'acme', '--to', 'newest', '--into', 'acme-next', '--version', '3.6.15']);
    expect((await world.api.store.get('acme-next'))?.spec.version).toBe('3.6.15');
    const wrong = await world.run(['restore', 'acme', '--to', 'newest', '--version', '3.6.15', '--yes']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('"into"')]);
    expect(await stored()).toEqual(before);
  });
});

describe('sleep', () => {
  test('hibernate and wake begin their operations; nobody who is awake is woken up', async () => {
    const awake = await world.run(['wake', 'acme']);
    expect([awake.code, awake.err]).toEqual([1, expect.stringContaining('not hibernated')]);
    expect((await world.run(['hibernate', 'acme'])).out).toContain('The hibernate of "acme" is pending');
    const { operation: _, ...tenant } = await stored();
    const source = { kind: 'backup' as const, key: 'k', sha256: 's', bytes: 1, revision: 7, bumpRevision: 1 };
    const status = { phase: 'hibernated' as const, conditions: [], since: tenant.createdAt, source };
    const asleep = { ...tenant, members: {}, status, recordVersion: tenant.recordVersion + 1 };
    await world.api.store.save(asleep, tenant.recordVersion);
    expect((await world.run(['wake', 'acme'])).out).toContain('The wake of "acme" is pending');
  });
});
