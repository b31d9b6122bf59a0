import * as z from 'zod';
import { endpoint } from '../endpoint.ts';
import { noQuery, versionsSchema } from '../schemas.ts';
import { versionsDocument } from '../versions.ts';

export const getVersions = endpoint({
  method: 'get',
  path: '/v1/versions',
  operationId: 'getVersions',
  summary: 'The etcd versions that this deployment offers',
  params: z.strictObject({}),
  query: noQuery,
  answers: { 200: { description: 'Offered and refused versions', schema: versionsSchema } },
  refusals: [],
  async handle(_input, { deps }) {
    return { status: 200, body: versionsDocument(deps.versions) };
  },
});
