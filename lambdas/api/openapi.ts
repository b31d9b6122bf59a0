import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import * as z from 'zod';
import type { Endpoint } from './endpoint.ts';
import { idempotencyKeySchema } from './input.ts';
import { problemSchema } from './problem.ts';

const refusalTexts: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong; `problems` names every bad field',
  401: 'Not signed',
  403: 'Not allowed, or a quota is used up',
  404: 'No such thing',
  409: 'Not possible as things are; `detail` says what to do',
  413: 'Body too large',
  415: 'Body is not JSON',
  422: 'Idempotency-Key was used for another request',
  500: 'A fault of the API',
  503: 'A service behind the API did not answer; send the same request again',
};

const problemAnswer = (status: number) => ({
  description: refusalTexts[status] ?? 'Refused',
  content: { 'application/problem+json': { schema: problemSchema } },
});

const config = {
  openapi: '3.1.0',
  info: {
    title: 'etcd-nanny',
    version: '1',
    description:
      'Managed etcd for your own AWS account. Requests are signed with SigV4 (service execute-api). ' +
      'Errors are application/problem+json.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
} as const;

/** Tells the OpenAPI registry of one endpoint. Requests are not validated by it: input.ts finds all problems at once. */
export function describe(app: OpenAPIHono, endpoint: Endpoint): void {
  const isWrite = endpoint.method !== 'get';
  const refusals = [400, 401, ...endpoint.refusals, 500, 503];
  app.openAPIRegistry.registerPath(
    createRoute({
      method: endpoint.method,
      path: endpoint.path,
      operationId: endpoint.operationId,
      summary: endpoint.summary,
      ...(endpoint.description ? { description: endpoint.description } : {}),
      request: {
        params: endpoint.params as z.ZodObject,
        query: endpoint.query as z.ZodObject,
        ...(isWrite ? { headers: z.object({ 'Idempotency-Key': idempotencyKeySchema.optional() }) } : {}),
        ...(endpoint.body
          ? {
              body: {
                required: !endpoint.body.optional,
                content: { 'application/json': { schema: endpoint.body.schema } },
              },
            }
          : {}),
      },
      responses: {
        ...Object.fromEntries(
          Object.entries(endpoint.answers).map(([status, { description, schema }]) => [
            status,
            { description, content: { 'application/json': { schema } } },
          ]),
        ),
        ...Object.fromEntries(refusals.map((status) => [status, problemAnswer(status)])),
      },
    }),
  );
}

export function openApiDocument(app: OpenAPIHono) {
  return app.getOpenAPI31Document(config);
}
