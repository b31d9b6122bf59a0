import { Hono, type Context as HonoContext } from 'hono';
import { requireAuthority, requirePlainPath } from './authority.ts';
import { callerOf, requestIdOf } from './caller.ts';
import type { ApiDeps } from './deps.ts';
import type { Endpoint } from './endpoint.ts';
import { type Answer, once } from './idempotency.ts';
import { readInput } from './input.ts';
import { openApiDocument } from './openapi.ts';
import { ApiError, renderProblem } from './problem.ts';
import { endpoints } from './routes/index.ts';

const honoPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

/** The provisioning API. All state and all effects are in `deps`. */
export function createApp(deps: ApiDeps): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    requirePlainPath(c.env);
    await next();
  });
  for (const endpoint of endpoints) {
    app.on(endpoint.method.toUpperCase(), honoPath(endpoint.path), (c) => serve(c, endpoint, deps));
  }
  app.get('/v1/openapi.json', (c) => c.json(openApiDocument()));
  for (const path of new Set([...endpoints.map((endpoint) => endpoint.path), '/v1/openapi.json'])) {
    app.all(honoPath(path), () => {
      const methods = endpoints
        .filter((other) => other.path === path)
        .map(({ method }) => method.toUpperCase());
      const allow = (methods.length > 0 ? methods : ['GET']).join(', ');
      throw new ApiError('method-not-allowed', `This path knows ${allow} only.`, { allow });
    });
  }
  app.notFound((c) =>
    refuse(
      c,
      deps,
      new ApiError('not-found', `There is nothing at ${c.req.path}. GET /v1/openapi.json lists all paths.`),
    ),
  );
  app.onError((error, c) => refuse(c, deps, error));
  return app;
}

async function serve(c: HonoContext, endpoint: Endpoint, deps: ApiDeps): Promise<Response> {
  const caller = callerOf(c.env, deps.authority);
  requireAuthority(caller, endpoint, c.req.param('tenantId'));
  const input = await readInput(c.req, endpoint, deps);
  const run = () => endpoint.handle(input, { deps, caller });
  const answer: Answer =
    endpoint.method === 'get'
      ? await run()
      : await once(
          deps,
          {
            // Requests that name no tenant are kept under a name that no tenant can have.
            tenantId: (input.params as { tenantId?: string }).tenantId ?? '*',
            key: input.idempotencyKey,
            method: endpoint.method,
            path: c.req.path,
            body: input.bodyText,
          },
          run,
        );
  c.header('cache-control', 'no-store');
  c.header('x-request-id', caller.requestId);
  return answer.text === undefined
    ? c.json(answer.body as object, answer.status)
    : c.text(answer.text, answer.status);
}

function refuse(c: HonoContext, deps: ApiDeps, error: unknown): Response {
  const requestId = requestIdOf(c.env);
  const { problem, headers, unexpected } = renderProblem(error, requestId);
  if (unexpected) {
    deps.log.error('request failed', { requestId, method: c.req.method, path: c.req.path, error });
  }
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { ...headers, 'content-type': 'application/problem+json', 'x-request-id': requestId },
  });
}
