import { beforeEach, expect, test } from 'vitest';
import { createWorld, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
const put = (id: string, spec: unknown, key: string) =>
  world.send('PUT', `/v1/tenants/${id}`, { spec }, { headers: { 'idempotency-key': key } });

test('same key and same request: the same answer, although the world has moved on', async () => {
  const first = await put('acme', { members: 1 }, 'one');
  await world.finishCreation('acme');
  const again = await put('acme', { members: 1 }, 'one');
  expect(again.status).toBe(202);
  expect(again.body).toEqual(first.body);
  expect((await put('acme', { members: 1 }, 'two')).status).toBe(200);
});

test('same key and another request is 422', async () => {
  await put('acme', { members: 1 }, 'one');
  const other = await put('acme', { members: 3 }, 'one');
  expect(other.status).toBe(422);
  expect(other.body).toMatchObject({
    code: 'idempotency-mismatch',
    detail: expect.stringMatching(/new key/),
  });
  const method = await world.send('DELETE', '/v1/tenants/acme', undefined, {
    headers: { 'idempotency-key': 'one' },
  });
  expect(method.status).toBe(422);
});

test('keys of different tenants do not meet', async () => {
  await put('acme', { members: 1 }, 'one');
  expect((await put('bravo', { members: 3 }, 'one')).status).toBe(202);
});

test('a refusal is not kept: the same request may succeed later', async () => {
  await put('acme', { deletionProtection: true }, 'create');
  const remove = () =>
    world.send('DELETE', '/v1/tenants/acme', undefined, { headers: { 'idempotency-key': 'gone' } });
  expect((await remove()).status).toBe(409);
  await world.send('PATCH', '/v1/tenants/acme', { spec: { deletionProtection: false } });
  expect((await remove()).status).toBe(202);
});

test('a key is forgotten after 24 hours', async () => {
  await put('acme', { members: 1 }, 'one');
  world.advance(25 * 3600_000);
  expect((await put('acme', {}, 'one')).status).toBe(200);
});
