import { beforeEach, describe, expect, test } from 'vitest';
import { TransientError } from '../../../lambdas/core/errors.ts';
import { callerArn, createWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = createWorld({ versions: { default: '3.6.16', offered: ['3.5.35', '3.6.14', '3.6.16', '3.7.1'] } });
  for (const tenantId of ['acme', 'bravo']) {
    await world.send('PUT', `/v1/tenants/${tenantId}`, { spec: { version: '3.6.14' } });
    await world.finishCreation(tenantId);
  }
});

const path = '/v1/fleet/patch';

describe('a fleet patch', () => {
  test('is 404 before the first one', async () => {
    for (const [method, at] of [
      ['GET', path],
      ['POST', `${path}/stop`],
      ['POST', `${path}/resume`],
    ] as const)
      expect((await world.send(method, at)).status).toBe(404);
  });

  test('begins with the canaries, asks the sweep for a look, and can be read', async () => {
    const answer = await world.send('POST', path, {
      version: '3.6',
      canary: ['bravo', 'bravo'],
      bakeMinutes: 5,
    });
    expect(answer.status).toBe(202);
    expect(answer.body.rollout).toMatchObject({
      version: '3.6.16',
      state: 'running',
      requestedBy: callerArn,
      canary: ['bravo'],
      bakeMinutes: 5,
      wave: 0,
    });
    expect(world.dispatcher.fleet).toBe(1);
    expect((await world.send('GET', path)).body).toEqual(answer.body);
  });

  test('is one at a time; the next one begins when it is over', async () => {
    await world.send('POST', path, { version: '3.6.16' });
    const again = await world.send('POST', path, { version: '3.6.16' });
    expect([again.status, again.body.code]).toEqual([409, 'operation-under-way']);
    await world.send('POST', `${path}/stop`);
    const next = await world.send('POST', path, { version: '3.6.16' });
    expect(next.status).toBe(202);
    expect(next.body.rollout).toMatchObject({ state: 'running', bakeMinutes: 60 });
    expect(next.body.rollout.stopped).toBeUndefined();
  });

  test.each([
    ['a version that is not offered', { version: '3.6.1' }, 409, 'version-refused'],
    ['a bad release', { version: '3.4.23' }, 409, 'version-refused'],
    ['a canary of another minor', { version: '3.7.1', canary: ['acme'] }, 409, 'version-refused'],
    ['a canary that is not there', { version: '3.6.16', canary: ['nobody'] }, 404, 'not-found'],
    ['no version', {}, 400, 'invalid-request'],
    ['a bake time below zero', { version: '3.6.16', bakeMinutes: -1 }, 400, 'invalid-request'],
    ['a field that it does not know', { version: '3.6.16', waves: 3 }, 400, 'invalid-request'],
  ])('refuses %s, and begins nothing', async (_name, body, status, code) => {
    const answer = await world.send('POST', path, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await world.send('GET', path)).status).toBe(404);
  });

  test('is stopped and resumed, and tells by whom and why', async () => {
    await world.send('POST', path, { version: '3.6.16' });
    const stopped = await world.send('POST', `${path}/stop`, { reason: 'looking into it' });
    expect(stopped.status).toBe(202);
    expect(stopped.body.rollout.stopped).toMatchObject({ by: callerArn, reason: 'looking into it' });
    expect((await world.send('POST', `${path}/stop`)).status).toBe(200);
    const resumed = await world.send('POST', `${path}/resume`);
    expect(resumed.body.rollout.state).toBe('running');
    expect(resumed.body.rollout.stopped).toBeUndefined();
    expect(resumed.body.rollout.events.map(({ message }: { message: string }) => message)).toEqual([
      `Fleet patch to 3.6.16 asked for by ${callerArn}.`,
      `Stopped by ${callerArn}: looking into it.`,
      `Resumed by ${callerArn}.`,
    ]);
    expect((await world.send('POST', `${path}/resume`)).status).toBe(200);
  });

  test('begins also when the queue is away: the sweep sees it with its next round', async () => {
    world.dispatcher.lookAtFleet = () => Promise.reject(new TransientError('queue is away'));
    expect((await world.send('POST', path, { version: '3.6.16' })).status).toBe(202);
  });

  test('the same Idempotency-Key gives the same answer', async () => {
    const headers = { 'idempotency-key': 'fleet-1' };
    const first = await world.send('POST', path, { version: '3.6.16' }, { headers });
    expect(await world.send('POST', path, { version: '3.6.16' }, { headers })).toEqual(first);
  });
});
