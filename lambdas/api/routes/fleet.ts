import { loadOf } from '../../core/model/place.ts';
import { endpoint } from '../endpoint.ts';
import { fleetSchema, noParams, noQuery } from '../schemas.ts';

export const getFleet = endpoint({
  method: 'get',
  path: '/v1/fleet',
  operationId: 'getFleet',
  summary: 'How full the deployment and each of its cells are',
  params: noParams,
  query: noQuery,
  answers: { 200: { description: 'The fleet', schema: fleetSchema } },
  refusals: [],
  async handle(_input, { deps }) {
    const { maxTenants, maxTenantsPerCell } = deps;
    const cells = await Promise.all(
      deps.cells.map(async ({ id }) => ({
        cell: id,
        ...loadOf(await deps.store.places(id)),
        maxTenantsPerCell,
      })),
    );
    const tenants = cells.reduce((sum, cell) => sum + cell.tenants, 0);
    return { status: 200, body: { tenants, maxTenants, cells } };
  },
});
