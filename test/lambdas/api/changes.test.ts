import { beforeEach, describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { tenantDocumentSchema } from '../../../lambdas/core/tenant-document.ts';
import { callerArn, cell, createWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = createWorld({ versions: { default: '3.6.16', offered: ['3.5.35', '3.6.14', '3.6.16', '3.7.1'] } });
  await world.send('PUT', '/v1/tenants/acme', {});
  await world.finishCreation('acme');
  world.dispatcher.sent.length = 0;
});

const patch = (spec: unknown) => world.send('PATCH', '/v1/tenants/acme', { spec });
const stored = async (): Promise<TenantRecord> => (await world.store.get('acme'))!;
const write = (change: (tenant: TenantRecord) => TenantRecord) => world.write('acme', change);
const sick = (name: string) => (tenant: TenantRecord) => {
  const member = tenant.members[name]!;
  const seen = { at: tenant.createdAt, healthy: false, isLeader: false, problem: 'no answer' };
  return { ...tenant, members: { ...tenant.members, [name]: { ...member, seen } as typeof member } };
};

describe('changes that need work', () => {
  test.each<[string, unknown, string, string, object?]>([
    ['members', 5, 'scale', 'scale'],
    ['size', 'large', 'resize', 'scale'],
    ['storageGiB', 50, 'resize', 'scale'],
    ['volume', 'ephemeral', 'resize', 'scale', { storageGiB: 30 }],
    ['quotaMiB', 1024, 'resize', 'scale'],
    ['version', '3.6.14', 'patch', 'patch'],
    ['version', '3.5', 'patch', 'patch'],
    ['version', '3.7', 'patch', 'patch'],
  ])('%s = %s starts a %s and sends the %s function', async (field, value, kind, duty, more = {}) => {
    const answer = await patch({ [field]: value, ...more });
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({ kind, state: 'pending', requestedBy: callerArn });
    expect(answer.body.tenant).toMatchObject({ generation: 2, observedGeneration: 1 });
    expect(tenantDocumentSchema.parse(answer.body.tenant)).toEqual(answer.body.tenant);
    expect((await stored()).operation?.operationId).toBe(answer.body.operation.operationId);
    expect(world.dispatcher.sent).toEqual([{ tenantId: 'acme', duty, delaySeconds: 0 }]);
    const { items } = (await world.send('GET', '/v1/tenants/acme/timeline')).body;
    expect(items[0]).toMatchObject({ kind: 'decided', message: expect.stringMatching(/asked for: .*→/) });
  });

  test('PUT does the same, and again answers 200 with the same operation', async () => {
    const spec = { members: 5, version: '3.6' };
    const first = await world.send('PUT', '/v1/tenants/acme', { spec });
    expect(first.status).toBe(202);
    const again = await world.send('PUT', '/v1/tenants/acme', { spec });
    expect(again.status).toBe(200);
    expect(again.body.operation.operationId).toBe(first.body.operation.operationId);
  });

  test('members and size together are one resize; policy fields go along at once', async () => {
    const answer = await patch({ members: 5, size: 'medium', deletionProtection: true });
    expect(answer.body.operation.kind).toBe('resize');
    expect((await stored()).spec).toMatchObject({ members: 5, size: 'medium', deletionProtection: true });
  });

  test('a version goes alone: together with others it is refused, and nothing is changed', async () => {
    const answer = await patch({ version: '3.6.14', members: 5, deletionProtection: true });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'one-at-a-time',
      detail: expect.stringMatching(/then send members/),
    });
    expect(await stored()).toMatchObject({ generation: 1, spec: { members: 3, deletionProtection: false } });
  });

  test('one operation at a time: 409 says which runs', async () => {
    const { body } = await patch({ version: '3.6.14' });
    const answer = await patch({ members: 5 });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({ code: 'operation-under-way' });
    expect(answer.body.detail).toContain(`patch under way (${body.operation.operationId})`);
    expect((await patch({ version: '3.6.16' })).status).toBe(409);
    expect((await patch({ deletionProtection: true })).body.operation).toMatchObject({
      kind: 'update',
      state: 'succeeded',
    });
  });

  test('a scale under way takes a further change of members along: a wish that cannot be met can be taken back', async () => {
    const first = await patch({ members: 5 });
    const back = await patch({ members: 3 });
    expect(back.status).toBe(202);
    expect(back.body.operation.operationId).toBe(first.body.operation.operationId);
    expect((await stored()).spec.members).toBe(3);
    expect((await patch({ size: 'large' })).body.code).toBe('operation-under-way');
  });

  test('waits for the creation to end', async () => {
    await world.send('PUT', '/v1/tenants/bravo', {});
    const answer = await world.send('PATCH', '/v1/tenants/bravo', { spec: { members: 5 } });
    expect([answer.status, answer.body.code]).toEqual([409, 'still-creating']);
  });

  test('a repair under way does not block: it goes first', async () => {
    const remediation = {
      operationId: 'op-r',
      kind: 'remediate' as const,
      since: '2026-11-22T12:00:00.000Z',
      reason: 'x',
    };
    await write((tenant) => ({ ...tenant, remediation }));
    const answer = await patch({ members: 5 });
    expect(answer.status).toBe(202);
    expect(answer.body.tenant.remediation).toMatchObject({ ...remediation, waitsForApproval: false });
    expect(world.dispatcher.sent).toEqual([{ tenantId: 'acme', duty: 'remediate', delaySeconds: 0 }]);
    await write((tenant) => ({
      ...tenant,
      operation: undefined,
      remediation: { ...remediation, kind: 'recover' },
    }));
    expect((await patch({ members: 3 })).body.code).toBe('recovering');
  });

  test('another compaction is a resize, and members of before it was noted have the one there was', async () => {
    const { members } = (await world.store.get('acme'))!;
    const made = { version: '3.6.16', size: 'small', storageGiB: 10, volume: 'ebs', quotaMiB: 2048 } as const;
    await write((tenant) => ({
      ...tenant,
      members: Object.fromEntries(
        Object.entries(members).map(([name, member]) => [
          name,
          { ...member, made: { ...made, taskDefinition: 't' } },
        ]),
      ),
    }));
    const answer = await patch({ autoCompaction: { mode: 'off' } });
    expect([answer.status, answer.body.operation.kind]).toEqual([202, 'resize']);
    const [first] = Object.values((await world.store.get('acme'))!.members);
    expect(first!.made).toMatchObject({ autoCompaction: { mode: 'periodic', retentionMinutes: 60 } });
  });

  test('fields have to go with those the tenant has, not with the defaults', async () => {
    expect((await patch({ quotaMiB: 8192 })).body.problems[0]).toMatchObject({ field: 'spec.storageGiB' });
    expect((await patch({ quotaMiB: 8192, storageGiB: 40 })).status).toBe(202);
    await write(({ operation: _, ...tenant }) => tenant);
    expect((await patch({ quotaMiB: 4096 })).status).toBe(202);
    expect((await patch({ volume: 'ephemeral', storageGiB: 20 })).status).toBe(400);
  });

  test('an operation cut off before it was written down is mended by the same request', async () => {
    const put = world.store.putOperation.bind(world.store);
    world.store.putOperation = () => Promise.reject(new Error('cut off'));
    expect((await patch({ members: 5 })).status).toBe(500);
    world.store.putOperation = put;
    const again = await patch({ members: 5 });
    expect(again.status).toBe(200);
    expect(again.body.operation).toMatchObject({ kind: 'scale', state: 'pending' });
  });
});

describe('versions', () => {
  test('a step to another minor says that a backup is taken before it; one within a minor does not', async () => {
    const asked = await patch({ version: '3.7' });
    expect(asked.body.operation.message).toContain('a full backup is taken before');
    await write(({ operation: _, ...tenant }) => ({
      ...tenant,
      spec: { ...tenant.spec, version: '3.6.16' },
    }));
    expect((await patch({ version: '3.6.14' })).body.operation.message).not.toContain('backup');
  });

  test('a minor below its gate is refused, and the way is told', async () => {
    await write((tenant) => ({ ...tenant, spec: { ...tenant.spec, version: '3.5.20' } }));
    await write((tenant) => ({
      ...tenant,
      members: Object.fromEntries(
        Object.entries(tenant.members).map(([name, member]) => [
          name,
          {
            ...member,
            seen: { at: tenant.createdAt, healthy: true, isLeader: false, version: '3.5.20' },
          } as typeof member,
        ]),
      ),
    }));
    const answer = await patch({ version: '3.6' });
    expect([answer.status, answer.body.code]).toEqual([409, 'version-refused']);
    expect(answer.body.detail).toMatch(/3\.5\.20 has to be at least 3\.5\.\d+ before 3\.6.*Patch it first/);
    expect((await patch({ version: '3.7' })).body.detail).toMatch(/more than one minor step/);
    expect((await stored()).generation).toBe(1);
  });

  test.each(['3.7', '3.5'])(
    'a minor step to %s is refused while a member is not healthy',
    async (version) => {
      await write(sick('mcccccccc'));
      const answer = await patch({ version });
      expect([answer.status, answer.body.code]).toEqual([409, 'members-unhealthy']);
      expect(answer.body.detail).toContain('mcccccccc (no answer)');
      expect((await patch({ version: '3.6.14' })).status).toBe(202);
    },
  );

  test('the version a tenant has already renews members that run an older image, with PATCH only', async () => {
    await write((tenant) => {
      const { size, storageGiB, volume, quotaMiB, version } = tenant.spec;
      const made = { version, size, storageGiB, volume, quotaMiB, taskDefinition: 'arn:ebs:old' };
      const members = Object.entries(tenant.members).map(([name, member]) => [name, { ...member, made }]);
      return { ...tenant, members: Object.fromEntries(members) };
    });
    expect((await world.send('PUT', '/v1/tenants/acme', { spec: { version: '3.6' } })).status).toBe(200);
    expect((await patch({ deletionProtection: false })).status).toBe(200);
    const answer = await patch({ version: '3.6' });
    expect([answer.status, answer.body.operation.kind]).toEqual([202, 'patch']);
    expect(answer.body.tenant.members[0].made.taskDefinition).toBe('arn:ebs:old');
    expect(cell.taskDefinitions.ebs).not.toBe('arn:ebs:old');
    expect((await patch({ version: '3.6' })).status).toBe(200);
  });
});

describe('policy fields', () => {
  test('are changed at once, and a window is taken away by null', async () => {
    const window = { days: ['sat', 'sun'], start: '03:30', minutes: 120 };
    const answer = await patch({ recovery: 'approve', unreachableSeconds: 30, maintenanceWindow: window });
    expect(answer.body.operation).toMatchObject({ kind: 'update', state: 'succeeded' });
    expect(answer.body.tenant).toMatchObject({ generation: 2, observedGeneration: 2 });
    expect(answer.body.tenant.spec).toMatchObject({
      recovery: 'approve',
      unreachableSeconds: 30,
      maintenanceWindow: window,
    });
    expect(world.dispatcher.sent).toEqual([]);
    const without = await patch({ maintenanceWindow: null });
    expect(without.status).toBe(202);
    expect(without.body.tenant.spec).not.toHaveProperty('maintenanceWindow');
    expect((await patch({ maintenanceWindow: null })).status).toBe(200);
  });

  test('what is under way looks at them at once: it may wait for nothing else', async () => {
    const recheck = { duty: 'scale' as const, at: '2099-01-01T00:00:00.000Z' };
    await patch({ size: 'large' });
    await write((tenant) => ({ ...tenant, recheck, nextCheckAt: recheck.at }));
    world.dispatcher.sent.length = 0;
    await patch({ unreachableSeconds: 40 });
    expect(world.dispatcher.sent).toEqual([{ tenantId: 'acme', duty: 'scale', delaySeconds: 0 }]);
    const tenant = await stored();
    expect(tenant.recheck).toBeUndefined();
    expect(tenant.nextCheckAt < recheck.at).toBe(true);
  });
});
