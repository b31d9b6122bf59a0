import { beforeEach, describe, expect, test } from 'vitest';
import { ConflictError, TransientError } from '../../../lambdas/core/errors.ts';
import { tenantDocumentSchema } from '../../../lambdas/core/tenant-document.ts';
import { callerArn, createWorld, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
const put = (id: string, spec?: unknown, headers?: Record<string, string>) =>
  world.send('PUT', `/v1/tenants/${id}`, spec === undefined ? {} : { spec }, { headers });

describe('creating', () => {
  test('answers 202 with the tenant and its operation, and asks the create function to look', async () => {
    const answer = await put('acme', { members: 5, version: '3.5' });
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({ kind: 'create', state: 'pending', requestedBy: callerArn });
    expect(answer.body.tenant.spec).toEqual({
      members: 5,
      version: '3.5.35',
      size: 'small',
      storageGiB: 10,
      volume: 'ebs',
      quotaMiB: 2048,
      autoCompaction: { mode: 'periodic', retentionMinutes: 60 },
      deletionProtection: false,
      recovery: 'auto',
      quorumLossConfirmSeconds: 60,
      unreachableSeconds: 20,
      zoneOutageHoldMinutes: 30,
      backup: { intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 },
    });
    expect(answer.body.tenant).toMatchObject({ phase: 'creating', endpoints: [], clusterId: null });
    expect(answer.body.tenant.dnsName).toBe('acme.etcd-nanny.internal');
    expect(tenantDocumentSchema.parse(answer.body.tenant)).toEqual(answer.body.tenant);
    expect(world.dispatcher.sent).toEqual([{ tenantId: 'acme', duty: 'create', delaySeconds: 0 }]);
  });

  test('needs no body at all', async () => {
    const answer = await world.send('PUT', '/v1/tenants/acme');
    expect(answer.status).toBe(202);
    expect(answer.body.tenant.spec.version).toBe('3.6.16');
  });

  test('gives ephemeral tenants the smallest disk Fargate has', async () => {
    const answer = await put('acme', { volume: 'ephemeral' });
    expect(answer.body.tenant.spec.storageGiB).toBe(21);
  });

  test('the same request again answers 200 with the same operation', async () => {
    const first = await put('acme', { members: 3 });
    const again = await put('acme', { members: 3 });
    expect(again.status).toBe(200);
    expect(again.body.operation.operationId).toBe(first.body.operation.operationId);
    await world.finishCreation('acme');
    const later = await put('acme', { members: 3, version: '3.6' });
    expect(later.status).toBe(200);
    expect(later.body.operation).toMatchObject({
      operationId: first.body.operation.operationId,
      state: 'succeeded',
    });
  });

  test('two creates at once make one tenant and answer one operation', async () => {
    const answers = await Promise.all([put('acme'), put('acme'), put('acme')]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 202]);
    expect(new Set(answers.map((answer) => answer.body.operation.operationId)).size).toBe(1);
    expect((await world.store.listOperations('acme', { limit: 10 })).items).toHaveLength(1);
  });

  test('survives a lost look: the tenant is due within seconds', async () => {
    world = createWorld({
      dispatcherOf: () => ({
        look: () => Promise.reject(new TransientError('queue is away')),
        lookAtFleet: () => Promise.resolve(),
      }),
    });
    expect((await put('acme')).status).toBe(202);
    const tenant = (await world.store.get('acme'))!;
    expect(Date.parse(tenant.nextCheckAt)).toBeLessThanOrEqual(Date.parse('2026-11-22T12:00:10Z'));
    expect(world.logged[0]?.message).toMatch(/sweep will find/);
  });

  test('a request cut off before the operation was written is mended by the next one', async () => {
    const broken = world.store.putOperation.bind(world.store);
    world.store.putOperation = () => Promise.reject(new TransientError('table is away'));
    expect((await put('acme')).status).toBe(503);
    world.store.putOperation = broken;
    const again = await put('acme');
    expect(again.status).toBe(200);
    const id = (await world.store.get('acme'))!.operation!.operationId;
    expect(again.body.operation).toMatchObject({ operationId: id, kind: 'create', state: 'pending' });
    expect(await world.store.getOperation('acme', id)).toBeDefined();
  });

  test('never goes beyond the quota, and says so', async () => {
    world = createWorld({ maxTenants: 1 });
    await put('acme');
    const answer = await put('bravo');
    expect(answer.status).toBe(403);
    expect(answer.body).toMatchObject({
      code: 'quota-exceeded',
      detail: expect.stringMatching(/may have 1\./),
    });
    expect((await put('acme')).status).toBe(200);
  });
});

describe('changing', () => {
  test('deletion protection is switched by an update operation that is done at once', async () => {
    await put('acme');
    await world.finishCreation('acme');
    const answer = await world.send('PATCH', '/v1/tenants/acme', { spec: { deletionProtection: true } });
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({ kind: 'update', state: 'succeeded' });
    expect(answer.body.operation.endedAt).toBeDefined();
    expect(answer.body.tenant).toMatchObject({ generation: 2, observedGeneration: 2 });
    expect((await world.store.get('acme'))!.spec.deletionProtection).toBe(true);
  });

  test('does not disturb a creation under way', async () => {
    const created = await put('acme');
    await world.send('PATCH', '/v1/tenants/acme', { spec: { deletionProtection: true } });
    const tenant = (await world.store.get('acme'))!;
    expect(tenant.operation?.operationId).toBe(created.body.operation.operationId);
    expect(tenant).toMatchObject({ generation: 2, observedGeneration: 0, status: { phase: 'creating' } });
  });

  test('tries again when somebody else wrote first', async () => {
    await put('acme');
    const save = world.store.save.bind(world.store);
    let lost = 0;
    world.store.save = async (next, expected) => {
      if (lost++ < 3) throw new ConflictError('too late');
      await save(next, expected);
    };
    const answer = await world.send('PATCH', '/v1/tenants/acme', { spec: { deletionProtection: true } });
    expect(answer.status).toBe(202);
    expect(lost).toBe(4);
  });

  test('an unknown tenant is 404', async () => {
    const answer = await world.send('PATCH', '/v1/tenants/nobody', { spec: {} });
    expect(answer.status).toBe(404);
    expect(answer.body.detail).toMatch(/no tenant "nobody"/);
  });
});

describe('deleting', () => {
  test('answers 202 and the same operation when asked twice', async () => {
    const created = await put('acme');
    const first = await world.send('DELETE', '/v1/tenants/acme');
    expect(first.status).toBe(202);
    expect(first.body.operation).toMatchObject({ kind: 'delete', state: 'pending' });
    const again = await world.send('DELETE', '/v1/tenants/acme');
    expect(again.body.operation.operationId).toBe(first.body.operation.operationId);
    expect((await world.store.get('acme'))!.status.phase).toBe('deleting');
    expect(world.dispatcher.sent.filter(({ duty }) => duty === 'delete')).toHaveLength(2);
    const superseded = await world.store.getOperation('acme', created.body.operation.operationId);
    expect(superseded).toMatchObject({ state: 'failed', message: expect.stringMatching(/deletion/) });
  });

  test('is refused while deletion protection is on, and says how to lift it', async () => {
    await put('acme', { deletionProtection: true });
    const answer = await world.send('DELETE', '/v1/tenants/acme');
    expect(answer.status).toBe(409);
    expect(answer.body.code).toBe('deletion-protected');
    expect(answer.body.detail).toContain('nanny update acme --no-deletion-protection');
    await world.send('PATCH', '/v1/tenants/acme', { spec: { deletionProtection: false } });
    expect((await world.send('DELETE', '/v1/tenants/acme')).status).toBe(202);
  });

  describe('with a final backup', () => {
    const remove = (query = '') => world.send('DELETE', `/v1/tenants/acme${query}`);
    const wanted = async () => (await world.store.get('acme'))!.backups?.wanted;
    const lines = async () =>
      (await world.store.listEvents('acme', { limit: 50 })).items.map(({ message }) => message).join('\n');
    const looks = () => world.dispatcher.sent.map(({ duty }) => duty);
    const formed = async () => {
      await put('acme');
      await world.finishCreation('acme');
      world.dispatcher.sent.length = 0;
    };

    test('asks for one of a cluster that has formed', async () => {
      await formed();
      const { body } = await remove();
      const { operationId } = body.operation;
      expect(await wanted()).toMatchObject({ reason: 'before-delete', operationId });
      expect(looks()).toEqual(['backup', 'delete']);
      expect(await lines()).toContain('a final backup is taken first');
    });

    test('does without when told so, at once or later', async () => {
      await formed();
      const first = await remove();
      await remove();
      expect(await wanted()).toBeDefined();
      const again = await remove('?finalBackup=false');
      expect(again.body.operation.operationId).toBe(first.body.operation.operationId);
      expect(await wanted()).toBeUndefined();
      expect(await lines()).toContain('does without the final backup');
    });

    test('does not wait for one that nobody can give', async () => {
      await put('acme');
      await remove();
      expect(await wanted()).toBeUndefined();
      expect(await lines()).toContain('no member can give a final backup');
    });

    test('takes no other word than true and false', async () => {
      await formed();
      expect((await remove('?finalBackup=no')).body.problems[0].where ?? 'query').toContain('query');
      expect((await world.store.get('acme'))!.status.phase).toBe('available');
      await remove('?finalBackup=false');
      expect(await wanted()).toBeUndefined();
      expect(looks()).toEqual(['delete']);
    });
  });

  test('an unknown tenant is 404; a tenant being deleted can be neither changed nor created', async () => {
    expect((await world.send('DELETE', '/v1/tenants/nobody')).status).toBe(404);
    await put('acme');
    await world.send('DELETE', '/v1/tenants/acme');
    for (const method of ['PUT', 'PATCH']) {
      const answer = await world.send(method, '/v1/tenants/acme', { spec: {} });
      expect(answer.status).toBe(409);
      expect(answer.body.code).toBe('deleting');
    }
  });
});

describe('reading', () => {
  test('a tenant has every promised field', async () => {
    await put('acme');
    await world.finishCreation('acme');
    const { status, body } = await world.send('GET', '/v1/tenants/acme');
    expect(status).toBe(200);
    expect(body).toMatchObject({ phase: 'available', clusterId: 'c1c1', version: '3.6.16', operation: null });
    expect(body.endpoints).toEqual([
      'https://10.0.0.7:2379',
      'https://10.0.1.7:2379',
      'https://10.0.2.7:2379',
    ]);
    expect(body.members[1]).toEqual({
      name: 'mbbbbbbbb',
      zone: 'us-east-1b',
      ip: '10.0.1.7',
      clientUrl: 'https://10.0.1.7:2379',
      etcdId: '2f',
      role: 'voting',
      state: 'voting',
      isLeader: true,
      version: '3.6.16',
      healthy: true,
      problem: null,
      taskArn: 'arn:aws:ecs:us-east-1:111122223333:task/cell-1/mbbbbbbbb',
      made: null,
      replaceRequested: null,
    });
  });

  test('tenants come in pages, in the order of their names', async () => {
    for (const id of ['cc', 'aa', 'bb']) await put(id);
    const first = await world.send('GET', '/v1/tenants?limit=2');
    expect(first.body.items.map((tenant: { tenantId: string }) => tenant.tenantId)).toEqual(['aa', 'bb']);
    const second = await world.send('GET', `/v1/tenants?limit=2&cursor=${first.body.cursor}`);
    expect(second.body.items).toHaveLength(1);
    expect(second.body.cursor).toBeUndefined();
  });

  test('no tenants is an empty page', async () => {
    expect((await world.send('GET', '/v1/tenants')).body).toEqual({ items: [] });
  });

  test('history outlives its tenant, and a tenant without history is unknown', async () => {
    const created = await put('acme');
    const tenant = (await world.store.get('acme'))!;
    await world.store.remove('acme', tenant.recordVersion);
    const id = created.body.operation.operationId;
    expect((await world.send('GET', `/v1/tenants/acme/operations/${id}`)).body.kind).toBe('create');
    expect((await world.send('GET', '/v1/tenants/acme/operations')).body.items).toHaveLength(1);
    expect((await world.send('GET', '/v1/tenants/acme/timeline')).body.items[0].message).toMatch(/Creation/);
    expect((await world.send('GET', '/v1/tenants/acme')).status).toBe(404);
    expect((await world.send('GET', '/v1/tenants/nobody/timeline')).status).toBe(404);
    expect((await world.send('GET', '/v1/tenants/acme/operations/none')).status).toBe(404);
  });

  test('versions say what is offered and why others are refused', async () => {
    const { body } = await world.send('GET', '/v1/versions');
    expect(body.default).toBe('3.6.16');
    expect(body.offered.map(({ version }: { version: string }) => version)).toEqual([
      '3.6.16',
      '3.6.15',
      '3.5.35',
    ]);
    expect(body.refused.length).toBeGreaterThan(0);
    expect(body.refused[0].reason).not.toBe('');
  });
});
