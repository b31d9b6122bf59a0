import { expect, test } from 'vitest';
import { createWorld } from './world.ts';

test('docs/openapi.json is what the API serves (update it with: npx vitest run -u --config test/vitest.config.ts openapi)', async () => {
  const { status, body } = await createWorld().send('GET', '/v1/openapi.json');
  expect(status).toBe(200);
  await expect(`${JSON.stringify(body, undefined, 2)}\n`).toMatchFileSnapshot('../../../docs/openapi.json');
});

test('every route is described, with its refusals as problem+json', async () => {
  const { body } = await createWorld().send('GET', '/v1/openapi.json');
  expect(body.openapi).toBe('3.1.0');
  const routes = Object.entries(
    body.paths as Record<string, Record<string, { responses: Record<string, unknown> }>>,
  ).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  expect(routes.sort()).toEqual([
    'DELETE /v1/tenants/{tenantId}',
    'GET /v1/fleet',
    'GET /v1/fleet/patch',
    'GET /v1/tenants',
    'GET /v1/tenants/{tenantId}',
    'GET /v1/tenants/{tenantId}/backups',
    'GET /v1/tenants/{tenantId}/connection',
    'GET /v1/tenants/{tenantId}/operations',
    'GET /v1/tenants/{tenantId}/operations/{operationId}',
    'GET /v1/tenants/{tenantId}/timeline',
    'GET /v1/versions',
    'PATCH /v1/tenants/{tenantId}',
    'POST /v1/fleet/patch',
    'POST /v1/fleet/patch/resume',
    'POST /v1/fleet/patch/stop',
    'POST /v1/tenants/{tenantId}/backups',
    'POST /v1/tenants/{tenantId}/ca/rotate',
    'POST /v1/tenants/{tenantId}/credentials',
    'POST /v1/tenants/{tenantId}/drill',
    'POST /v1/tenants/{tenantId}/hibernate',
    'POST /v1/tenants/{tenantId}/members/{member}/replace',
    'POST /v1/tenants/{tenantId}/pause',
    'POST /v1/tenants/{tenantId}/recovery/approve',
    'POST /v1/tenants/{tenantId}/restore',
    'POST /v1/tenants/{tenantId}/resume',
    'POST /v1/tenants/{tenantId}/wake',
    'PUT /v1/tenants/{tenantId}',
  ]);
  expect(body.paths['/v1/tenants/{tenantId}'].put.responses['409'].content).toHaveProperty(
    'application/problem+json',
  );
});
