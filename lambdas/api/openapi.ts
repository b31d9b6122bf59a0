import * as z from 'zod';
import { connectionSchema } from '../core/connection/connection.ts';
import { conditionSchema } from '../core/model/condition.ts';
import { operationSchema, timelineEventSchema } from '../core/model/operation.ts';
import { rolloutSchema } from '../core/model/rollout.ts';
import { tenantSpecSchema } from '../core/model/spec.ts';
import { memberDocumentSchema, tenantDocumentSchema } from '../core/tenant-document.ts';
import type { Endpoint } from './endpoint.ts';
import { idempotencyKeySchema } from './input.ts';
import { problemSchema } from './problem.ts';
import { backupListSchema } from './routes/backups.ts';
import { credentialsBodySchema } from './routes/credentials.ts';
import { fleetPatchBodySchema } from './routes/fleet-patch.ts';
import { endpoints } from './routes/index.ts';
import { reasonBodySchema } from './routes/reason-body.ts';
import { restoreAnswerSchema, restoreBodySchema } from './routes/restore.ts';
import { rotateCaBodySchema } from './routes/rotate-ca.ts';
import { specBodySchema } from './routes/spec-body.ts';
import {
  credentialsAnswerSchema,
  fleetPatchAnswerSchema,
  fleetSchema,
  operationAnswerSchema,
  operationPageSchema,
  tenantAnswerSchema,
  tenantPageSchema,
  timelinePageSchema,
  versionsSchema,
} from './schemas.ts';

/** OpenAPI 3.1 speaks JSON Schema 2020-12, which zod writes itself: the document says what the code checks. */
const answers = {
  Tenant: tenantDocumentSchema,
  TenantSpec: tenantSpecSchema,
  Member: memberDocumentSchema,
  Condition: conditionSchema,
  Operation: operationSchema,
  Restore: restoreAnswerSchema,
  TimelineEvent: timelineEventSchema,
  BackupList: backupListSchema,
  Connection: connectionSchema,
  Credentials: credentialsAnswerSchema,
  Versions: versionsSchema,
  Fleet: fleetSchema,
  FleetPatch: rolloutSchema,
  FleetPatchAnswer: fleetPatchAnswerSchema,
  TenantAndOperation: tenantAnswerSchema,
  OperationAccepted: operationAnswerSchema,
  TenantPage: tenantPageSchema,
  OperationPage: operationPageSchema,
  TimelinePage: timelinePageSchema,
  Problem: problemSchema,
};
const bodies = {
  TenantRequest: specBodySchema,
  CredentialsRequest: credentialsBodySchema,
  ReasonRequest: reasonBodySchema,
  RotateRequest: rotateCaBodySchema,
  RestoreRequest: restoreBodySchema,
  FleetPatchRequest: fleetPatchBodySchema,
};

type JsonSchema = Record<string, unknown>;
const reference = (id: string) => `#/components/schemas/${id}`;

function components(schemas: Record<string, z.ZodType>, io: 'input' | 'output'): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const { schemas: written } = z.toJSONSchema(registry, { io, uri: reference });
  return Object.fromEntries(Object.entries(written).map(([id, schema]) => [id, plain(schema as JsonSchema)]));
}

/** Without what only a stand-alone schema needs. */
function plain({ $schema: _schema, $id: _id, ...schema }: JsonSchema): JsonSchema {
  return schema;
}

const inline = (schema: z.ZodType): JsonSchema =>
  plain(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema);

function refTo(schema: z.ZodType): JsonSchema {
  const [id] = Object.entries({ ...answers, ...bodies }).find(([, known]) => known === schema) ?? [];
  if (id === undefined) throw new Error('A schema of the API has no name in lambdas/api/openapi.ts');
  return { $ref: reference(id) };
}

const refusalTexts: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong; `problems` names every bad field',
  401: 'Not signed, or the token is not good',
  403: 'No authority over this, or a quota is used up',
  404: 'No such thing',
  409: 'Not possible as things are; `detail` says what to do',
  413: 'Body too large',
  415: 'Body is not JSON',
  422: 'Idempotency-Key was used for another request',
  500: 'A fault of the API',
  503: 'A service behind the API did not answer; send the same request again',
};

function parameters(schema: z.ZodType, place: 'path' | 'query') {
  const { properties = {}, required = [] } = inline(schema) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: property,
  }));
}

function describe(endpoint: Endpoint) {
  const isWrite = endpoint.method !== 'get';
  const key = {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    schema: inline(idempotencyKeySchema),
  };
  const succeeded = Object.entries(endpoint.answers).map(([status, { description, schema }]) => [
    status,
    { description, content: { 'application/json': { schema: refTo(schema) } } },
  ]);
  const refused = [400, 401, 403, ...endpoint.refusals, 500, 503].map((status) => [
    String(status),
    {
      description: refusalTexts[status],
      content: { 'application/problem+json': { schema: refTo(problemSchema) } },
    },
  ]);
  return {
    operationId: endpoint.operationId,
    summary: endpoint.summary,
    ...(endpoint.description ? { description: endpoint.description } : {}),
    parameters: [
      ...parameters(endpoint.params, 'path'),
      ...parameters(endpoint.query, 'query'),
      ...(isWrite ? [key] : []),
    ],
    ...(endpoint.body
      ? {
          requestBody: {
            required: !endpoint.body.optional,
            content: { 'application/json': { schema: refTo(endpoint.body.schema) } },
          },
        }
      : {}),
    responses: Object.fromEntries([...succeeded, ...refused]),
  };
}

export function openApiDocument() {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const endpoint of endpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method]: describe(endpoint) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'etcd-nanny',
      version: '1',
      description:
        'Managed etcd for your own AWS account. Requests are signed with SigV4 (service execute-api) or, where the ' +
        'deployment says so, carry a token (Authorization: Bearer). ' +
        'Errors are application/problem+json.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: { schemas: { ...components(bodies, 'input'), ...components(answers, 'output') } },
  };
}
