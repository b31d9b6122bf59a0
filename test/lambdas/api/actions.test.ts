import { beforeEach, describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { callerArn, createWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = createWorld();
  await world.send('PUT', '/v1/tenants/acme', {});
  await world.finishCreation('acme');
  world.dispatcher.sent.length = 0;
});

const post = (below: string, body?: unknown) => world.send('POST', `/v1/tenants/acme/${below}`, body);
const stored = async (): Promise<TenantRecord> => (await world.store.get('acme'))!;
const write = (change: (tenant: TenantRecord) => TenantRecord) => world.write('acme', change);
const looks = () => world.dispatcher.sent.map(({ duty }) => duty);

describe('rotating the certificate authority', () => {
  const rollover = async () => (await stored()).pki?.rollover;
  const rotate = (body?: unknown) => post('ca/rotate', body);
  const between = { old: 'a', next: 'b', reason: 'r', immediately: false, since: '2026-11-22T12:00:00.000Z' };
  const authority = {
    certificate: 'c',
    caKey: 'k',
    controlPlaneCertificate: 'x',
    controlPlaneKey: 'x',
    validFrom: '2026-11-22T12:00:00.000Z',
    validUntil: '2036-11-22T12:00:00.000Z',
  };
  const grace = { phase: 'grace' as const, ...between, authority, until: '2027-11-22T12:00:00.000Z' };

  test('writes down that one is wanted and starts the operation, once', async () => {
    const answer = await rotate();
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({ kind: 'rotate-ca', requestedBy: callerArn });
    expect(answer.body.tenant.certificateAuthority.rotation).toMatchObject({ phase: 'wanted' });
    expect(await rollover()).toMatchObject({ phase: 'wanted', immediately: false });
    expect(looks()).toEqual(['patch']);
    const again = await rotate({});
    expect(again.body.operation.operationId).toBe(answer.body.operation.operationId);
    expect((await rotate({ retireOldNow: 'yes', why: 1 })).body.problems).toHaveLength(2);
  });

  test('is told to hurry while it is under way', async () => {
    const { body } = await rotate();
    const hurried = await rotate({ retireOldNow: true, reason: 'leaked' });
    expect(hurried.body.operation.operationId).toBe(body.operation.operationId);
    expect(await rollover()).toMatchObject({ immediately: true, reason: 'leaked' });
    // Whoever wants a certificate now would be locked out with it.
    const credentials = await post('credentials', { user: 'alice' });
    expect([credentials.status, credentials.body.code]).toEqual([409, 'operation-under-way']);
  });

  test('in the grace of clients only its end can be asked for', async () => {
    await write((tenant) => ({ ...tenant, pki: { ...tenant.pki!, rollover: grace } }));
    const refused = await rotate();
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
    expect(refused.body.detail).toContain('until 2027-11-22');
    expect((await rotate({ retireOldNow: true })).status).toBe(202);
    expect(await rollover()).toMatchObject({ phase: 'grace', immediately: true });
  });

  test('waits for other operations', async () => {
    await post('members/mbbbbbbbb/replace');
    expect((await rotate({ retireOldNow: true })).body.code).toBe('operation-under-way');
  });
});

describe('replacing a member', () => {
  test('writes the request down with its reason and starts a replace operation', async () => {
    const answer = await post('members/mbbbbbbbb/replace', { reason: 'noisy neighbour' });
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({
      kind: 'replace',
      state: 'pending',
      requestedBy: callerArn,
    });
    expect(answer.body.tenant.members[1].replaceRequested).toBe('noisy neighbour');
    expect(await stored()).toMatchObject({
      replaceRequests: { mbbbbbbbb: 'noisy neighbour' },
      generation: 1,
    });
    expect(looks()).toEqual(['scale']);
  });

  test('asked twice it is one operation; another member has to wait', async () => {
    const first = await post('members/mbbbbbbbb/replace');
    const again = await post('members/mbbbbbbbb/replace');
    expect([again.status, again.body.operation.operationId]).toEqual([202, first.body.operation.operationId]);
    expect((await post('members/maaaaaaaa/replace')).body.code).toBe('operation-under-way');
  });

  test('a member that is not there is 404 with those that are', async () => {
    const answer = await post('members/mzzzzzzzz/replace');
    expect(answer.status).toBe(404);
    expect(answer.body.detail).toContain('maaaaaaaa, mbbbbbbbb, mcccccccc');
    expect((await post('members/Bad!/replace')).status).toBe(400);
    expect((await post('members/maaaaaaaa/replace', { reason: '', why: 1 })).body.problems).toHaveLength(2);
  });

  test('a member on its way out is taken care of already', async () => {
    await write((tenant) => ({
      ...tenant,
      members: {
        ...tenant.members,
        maaaaaaaa: {
          state: 'leaving',
          name: 'maaaaaaaa',
          zone: 'us-east-1a',
          requestedAt: tenant.createdAt,
          leavingSince: tenant.createdAt,
          reason: 'dead',
        },
      },
    }));
    const answer = await post('members/maaaaaaaa/replace');
    expect([answer.status, answer.body.detail]).toEqual([409, expect.stringMatching(/maaaaaaaa is leaving/)]);
  });
});

describe('pausing', () => {
  test('switches automation off and on, and says who and why', async () => {
    const answer = await post('pause', { reason: 'looking into it' });
    expect(answer.status).toBe(202);
    expect(answer.body.tenant.paused).toEqual({
      since: '2026-11-22T12:00:00.000Z',
      by: callerArn,
      reason: 'looking into it',
    });
    expect((await post('pause')).status).toBe(200);
    expect((await stored()).paused?.reason).toBe('looking into it');
    const resumed = await post('resume');
    expect([resumed.status, resumed.body.tenant.paused]).toEqual([202, null]);
    expect((await post('resume')).status).toBe(200);
    expect(looks()).toEqual(['sweep', 'sweep']);
    const { items } = (await world.send('GET', '/v1/tenants/acme/timeline')).body;
    expect(items[0].message).toBe(`Automation resumed by ${callerArn}`);
  });

  test('wakes the operation that waited', async () => {
    await post('pause');
    expect((await world.send('PATCH', '/v1/tenants/acme', { spec: { members: 5 } })).status).toBe(202);
    world.advance(3_600_000);
    await post('resume');
    expect(looks().at(-1)).toBe('scale');
    expect((await stored()).nextCheckAt).toBe('2026-11-22T13:00:00.000Z');
  });

  test('of a tenant that goes or is not there is refused', async () => {
    expect((await world.send('POST', '/v1/tenants/nobody/pause')).status).toBe(404);
    await world.send('DELETE', '/v1/tenants/acme');
    for (const what of ['pause', 'resume']) expect((await post(what)).body.code).toBe('deleting');
    expect((await post('resume', { reason: 'x' })).status).toBe(400);
  });
});

describe('approving a recovery', () => {
  const waiting = (recovery: 'auto' | 'approve', mustBeApproved: boolean) => (tenant: TenantRecord) => ({
    ...tenant,
    spec: { ...tenant.spec, recovery },
    status: {
      phase: 'recovering' as const,
      conditions: [],
      since: tenant.createdAt,
      reason: '2 of 3 are gone',
    },
    remediation: {
      operationId: '01J00000000000000000000RECO',
      kind: 'recover' as const,
      since: tenant.createdAt,
      reason: '2 of 3 are gone; at most the last second of writes would be lost',
      recovery: { incarnation: 1, survivor: 'maaaaaaaa', key: 'cell-1/acme/1/full/x.snap', mustBeApproved },
    },
  });

  test.each([
    ['approve', false],
    ['auto', true],
  ] as const)('with policy %s (must be approved: %s) it goes on, once', async (policy, must) => {
    await write(waiting(policy, must));
    expect((await world.send('GET', '/v1/tenants/acme')).body.remediation.waitsForApproval).toBe(true);
    const answer = await post('recovery/approve');
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({
      kind: 'recover',
      operationId: '01J00000000000000000000RECO',
    });
    expect(answer.body.tenant.remediation.waitsForApproval).toBe(false);
    expect((await stored()).remediation?.approved).toBe(true);
    expect((await post('recovery/approve')).status).toBe(200);
    expect(looks()).toEqual(['remediate']);
    const { items } = (await world.send('GET', '/v1/tenants/acme/timeline')).body;
    expect(items[0].message).toMatch(/approved by .*paula: .*last second of writes/);
  });

  test('is refused when nothing waits for it', async () => {
    const answer = await post('recovery/approve');
    expect([answer.status, answer.body.code]).toEqual([409, 'nothing-to-approve']);
    await write(waiting('auto', false));
    expect((await post('recovery/approve')).body.detail).toMatch(/phase recovering/);
    expect(looks()).toEqual([]);
  });
});
