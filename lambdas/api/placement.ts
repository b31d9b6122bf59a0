import type { ApiCell } from '../core/model/cell.ts';
import { type CellLoad, loadOf } from '../core/model/place.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError } from './problem.ts';

type PlacementDeps = Pick<ApiDeps, 'store' | 'cells' | 'clock' | 'maxTenantsPerCell'>;

/** Tries that go by what was read: a cell that has filled up since is weighed anew, so that a burst is spread too. */
const weighedTries = 5;

/**
 * Takes a place for a new tenant in the emptiest cell. The place comes before the record: should the record not come,
 * the sweep gives the place back. A tenant that has a place already (a request that was cut off) keeps it.
 * @throws ApiError `no-room` when all cells are full
 */
export async function placeTenant(deps: PlacementDeps, tenantId: string, members: number): Promise<ApiCell> {
  for (let tries = 1; ; tries++) {
    const seen = await Promise.all(
      deps.cells.map(async (cell, order) => ({ cell, order, places: await deps.store.places(cell.id) })),
    );
    const loads = seen.map(({ cell, order, places }) => ({ cell, order, load: loadOf(places) }));
    const own = seen.find(({ places }) => tenantId in places);
    const open = loads.filter(({ load }) => load.tenants < deps.maxTenantsPerCell).sort(emptiestFirst);
    const chosen = own === undefined ? open : [own];
    if (chosen.length === 0) throw noRoom(deps, loads);
    for (const { cell } of tries > weighedTries ? chosen : chosen.slice(0, 1)) {
      const { tenants } = loads.find((each) => each.cell === cell)!.load;
      const atMost = tries > weighedTries ? deps.maxTenantsPerCell : tenants + 1;
      if (await take(deps, cell, tenantId, members, atMost)) return cell;
    }
    if (tries > weighedTries + 2) throw noRoom(deps, loads);
  }
}

/**
 * Takes a place in one cell and no other.
 * @param why what keeps the tenant to it, for people
 * @throws ApiError `no-room`
 */
export async function placeIn(
  deps: PlacementDeps,
  cellId: string,
  tenantId: string,
  members: number,
  why: string,
): Promise<void> {
  const cell = { id: cellId };
  if (await take(deps, cell, tenantId, members, deps.maxTenantsPerCell)) return;
  throw new ApiError(
    'no-room',
    `${why}, and cell ${cellId} has all the ${deps.maxTenantsPerCell} tenants that it may have. Delete one of them, or raise maxTenantsPerCell in the configuration and deploy.`,
  );
}

/** The record was not made: somebody else was first. The winner may live in the same cell, and keeps that place. */
export async function giveUpPlace(
  deps: PlacementDeps,
  cellId: string,
  tenantId: string,
  winner: TenantRecord | undefined,
): Promise<void> {
  if (winner?.cell !== cellId) await deps.store.leavePlace(cellId, tenantId);
}

/** A tenant that was scaled takes more or less of its cell. The next placement goes by it; the sweep sees to it as well. */
export async function notePlace(deps: PlacementDeps & Pick<ApiDeps, 'log'>, tenant: TenantRecord) {
  const { tenantId, cell, spec } = tenant;
  try {
    await take(deps, { id: cell }, tenantId, spec.members, Number.MAX_SAFE_INTEGER);
  } catch (error) {
    deps.log.warn('could not note what the tenant takes of its cell; the sweep will', { tenantId, error });
  }
}

const take = (
  deps: PlacementDeps,
  cell: Pick<ApiCell, 'id'>,
  tenantId: string,
  members: number,
  atMost: number,
): Promise<boolean> =>
  deps.store.takePlace(cell.id, tenantId, { members, at: deps.clock.now().toISOString() }, atMost);

interface Weighed {
  readonly order: number;
  readonly load: CellLoad;
}
/** Members are what costs addresses and vCPUs; tenants decide between cells that are equal in them. */
const emptiestFirst = (a: Weighed, b: Weighed): number =>
  a.load.members - b.load.members || a.load.tenants - b.load.tenants || a.order - b.order;

function noRoom({ maxTenantsPerCell }: PlacementDeps, loads: readonly { cell: ApiCell; load: CellLoad }[]) {
  const told = loads.map(({ cell, load }) => `${cell.id} has ${load.tenants}`).join(', ');
  return new ApiError(
    'no-room',
    `No cell has room: each may have ${maxTenantsPerCell} tenants, ${told}. Delete a tenant, raise maxTenantsPerCell, or add a cell (cells) in the configuration and deploy.`,
  );
}
