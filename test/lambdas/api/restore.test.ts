import { beforeEach, describe, expect, test } from 'vitest';
import { graveOf } from '../../../lambdas/core/backup/grave.ts';
import { deltaPrefix } from '../../../lambdas/core/model/backup.ts';
import { backup } from '../../contracts/tenant-record.ts';
import { createWorld } from './world.ts';

let world: ReturnType<typeof createWorld>;
beforeEach(async () => {
  world = createWorld({ versions: { default: '3.6.16', offered: ['3.5.35', '3.6.16', '3.7.1'] } });
  await world.send('PUT', '/v1/tenants/acme');
  await world.finishCreation('acme');
});

async function backedUp(): Promise<void> {
  const { cell } = (await world.store.get('acme'))!;
  const full = backup('acme', '01B', { revision: 1_000, contentAt: '2026-01-01T00:00:00.000Z' });
  world.bucket.objects.set(full.key, full.revision);
  await world.store.putBackup(full);
  world.bucket.deltas.set(deltaPrefix(cell, 'acme', 1), 1_500);
}

const restore = (body: unknown) => world.send('POST', '/v1/tenants/acme/restore', body);

describe('POST /v1/tenants/{id}/restore', () => {
  test('says what would come of it, and begins nothing with dryRun', async () => {
    await backedUp();
    const { status, body } = await restore({ to: 1_200, dryRun: true });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      estimate: { from: 'acme', into: 'acme', backupId: '01B', revision: 1_200, segments: 1 },
      tenant: null,
      operation: null,
    });
    expect((await world.store.get('acme'))?.operation).toBeUndefined();
  });

  test('in place: an operation with its source pinned, one at a time', async () => {
    await backedUp();
    const { status, body } = await restore({ to: 'newest' });
    expect(status).toBe(202);
    expect(body.operation).toMatchObject({ kind: 'restore', state: 'pending' });
    expect(await world.store.get('acme')).toMatchObject({
      operation: { kind: 'restore' },
      restore: { pin: { backupId: '01B', expectedRevision: 1_500 } },
    });
    expect((await restore({ to: 'newest' })).body).toMatchObject({
      status: 409,
      code: 'operation-under-way',
    });
  });

  test('into a new tenant: the source stays as it is; a name that exists is refused', async () => {
    await backedUp();
    expect((await restore({ to: 'newest', into: 'acme' })).status).toBe(409);
    const { status, body } = await restore({ to: 'newest', into: 'copy' });
    expect(status).toBe(202);
    expect(body.tenant).toMatchObject({ tenantId: 'copy', phase: 'creating' });
    expect((await world.store.get('acme'))?.operation).toBeUndefined();
    expect((await world.store.get('copy'))?.restore?.pin.from).toBe('acme');
  });

  test('into a new tenant of another version: of a newer one, as it is offered, never of an older one', async () => {
    await backedUp();
    const { status, body } = await restore({ to: 'newest', into: 'copy', version: '3.7' });
    expect(status).toBe(202);
    expect(body.tenant.spec.version).toMatch(/^3\.7\./);
    expect((await world.store.get('acme'))?.spec.version).toMatch(/^3\.6\./);
    for (const wrong of [
      { to: 'newest', version: '3.7' },
      { to: 'newest', into: 'other', version: '2.3' },
      { to: 'newest', into: 'other', version: '3.4.45' },
    ]) {
      expect((await restore(wrong)).body).toMatchObject({ status: 400, problems: [{ field: 'version' }] });
    }
    const older = await restore({ to: 'newest', into: 'other', version: '3.5' });
    expect(older.body).toMatchObject({ status: 409, code: 'version-refused' });
    expect(await world.store.get('other')).toBeUndefined();
  });

  test('a clone under the name of a tenant that is gone begins behind what that one has left', async () => {
    await backedUp();
    await world.store.putBackup(backup('copy', '01OLD', { incarnation: 4 }));
    expect((await restore({ to: 'newest', into: 'copy' })).status).toBe(202);
    expect((await world.store.get('copy'))?.incarnation.number).toBe(5);
  });

  test('what the record has not seen yet, but the bucket has, counts as lost', async () => {
    await backedUp();
    const { body } = await restore({ to: 1_200, dryRun: true });
    expect(body.estimate.lost.revisions).toBe(300);
  });

  test('what cannot be had is refused with the reason', async () => {
    expect((await restore({ to: 'newest' })).body).toMatchObject({
      status: 409,
      detail: expect.stringContaining('there is no backup'),
    });
    await backedUp();
    for (const to of [10, 9_999, '2020-01-01T00:00:00Z', '2999-01-01T00:00:00Z']) {
      expect((await restore({ to })).status).toBe(409);
    }
    expect((await restore({ to: 'yesterday' })).status).toBe(400);
    expect((await restore({ to: 'newest', now: true })).status).toBe(400);
  });
});

describe('POST /v1/tenants/{id}/hibernate and wake', () => {
  test('begin an operation; wake only for who sleeps', async () => {
    expect((await world.send('POST', '/v1/tenants/acme/wake')).status).toBe(409);
    const { status, body } = await world.send('POST', '/v1/tenants/acme/hibernate');
    expect(status).toBe(202);
    expect(body.operation).toMatchObject({ kind: 'hibernate' });
    const tenant = (await world.store.get('acme'))!;
    const { operation: _, ...rest } = tenant;
    const source = { kind: 'backup', key: 'k', sha256: 's', bytes: 1, revision: 9, bumpRevision: 1 } as const;
    const status2 = { phase: 'hibernated' as const, conditions: [], since: tenant.createdAt, source };
    await world.store.save(
      { ...rest, members: {}, status: status2, recordVersion: tenant.recordVersion + 1 },
      tenant.recordVersion,
    );
    const changed = await world.send('PATCH', '/v1/tenants/acme', { spec: { members: 1 } });
    expect(changed.body).toMatchObject({
      tenant: { hibernated: { revision: 9 }, spec: { members: 1 } },
      operation: { kind: 'update', state: 'succeeded' },
    });
    expect((await world.send('POST', '/v1/tenants/acme/ca/rotate')).body).toMatchObject({
      detail: expect.stringContaining('nanny wake acme'),
    });
    expect((await world.send('POST', '/v1/tenants/acme/wake')).body.operation).toMatchObject({
      kind: 'wake',
    });
  });
});

describe('POST /v1/tenants/{id}/restore of a deleted tenant', () => {
  const delayed = 34 * 24 * 3_600_000;

  async function deleted(): Promise<void> {
    await backedUp();
    const tenant = (await world.store.get('acme'))!;
    await world.store.bury(
      graveOf({ ...tenant, spec: { ...tenant.spec, size: 'large' } }, world.deps.clock.now()),
    );
    await world.store.remove('acme', tenant.recordVersion);
  }

  test.each(['then', 'acme'])(
    'into a new one, %s, with its spec, while its backups are kept',
    async (into) => {
      await deleted();
      world.advance(delayed);
      const expected = await restore({ to: 1_200, into, dryRun: true });
      expect(expected.body).toMatchObject({
        estimate: { from: 'acme', into, revision: 1_200 },
        tenant: null,
      });
      const { status, body } = await restore({ to: 1_200, into });
      expect(status).toBe(202);
      expect(body).toMatchObject({
        tenant: { tenantId: into, phase: 'creating' },
        operation: { kind: 'create' },
      });
      const made = (await world.store.get(into))!;
      expect(made.spec.size).toBe('large');
      expect(made.restore?.pin).toMatchObject({ from: 'acme', backupId: '01B' });
      // Nothing new goes below the keys of the old one.
      expect(made.incarnation.number).toBe(into === 'acme' ? 2 : 1);
    },
  );

  test('never in place: it says until when, and how', async () => {
    await deleted();
    const { status, body } = await restore({ to: 'newest' });
    expect(status).toBe(409);
    expect(body.detail).toMatch(/was deleted at 2026-11-22.*kept until 2026-12-27.*--into acme/);
  });

  test('after 35 days, or of a name that never was: no', async () => {
    await deleted();
    world.advance(35 * 24 * 3_600_000);
    expect((await restore({ to: 'newest', into: 'then' })).body.detail).toContain('are being removed');
    const never = await world.send('POST', '/v1/tenants/never/restore', { to: 'newest', into: 'then' });
    expect(never.status).toBe(404);
    expect(await world.store.get('then')).toBeUndefined();
  });

  test('one made again under the name is not the old one: newest is its own', async () => {
    await deleted();
    await world.send('PUT', '/v1/tenants/acme');
    await world.finishCreation('acme');
    const { status, body } = await restore({ to: 'newest' });
    expect(status).toBe(409);
    expect(body.detail).toContain('only those of a deleted tenant of the same name');
    expect((await restore({ to: 1_200, into: 'then', dryRun: true })).status).toBe(200);
  });
});
