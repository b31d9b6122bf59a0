import { ConflictError, NotFoundError } from '../core/errors.ts';
import type { Rollout } from '../core/model/rollout.ts';
import type { ApiDeps } from './deps.ts';

/** The sweep saves its turns meanwhile; each try reads the rollout afresh. */
const saveTries = 8;

export async function requireRollout(deps: Pick<ApiDeps, 'store'>): Promise<Rollout> {
  const rollout = await deps.store.getRollout();
  if (rollout !== undefined) return rollout;
  throw new NotFoundError('There has been no fleet patch yet. POST /v1/fleet/patch begins one.');
}

/**
 * Changes the newest rollout, again after each conflict.
 * @param change the next one, whatever its recordVersion; undefined: nothing to change
 */
export async function changeRollout(
  deps: Pick<ApiDeps, 'store'>,
  change: (newest: Rollout | undefined) => Rollout | undefined,
): Promise<Rollout> {
  for (let tries = 1; ; tries++) {
    const newest = await deps.store.getRollout();
    const next = change(newest);
    if (next === undefined) return newest ?? (await requireRollout(deps));
    const before = newest?.recordVersion ?? 0;
    const saved = { ...next, recordVersion: before + 1 };
    try {
      await deps.store.saveRollout(saved, before);
      return saved;
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === saveTries) throw error;
    }
  }
}

/** A look that is lost costs a minute: the sweep takes a turn with each of its rounds. */
export async function lookAtFleet(deps: ApiDeps): Promise<void> {
  await Promise.all(
    deps.cells.map((cell) =>
      deps
        .dispatcherOf(cell)
        .lookAtFleet()
        .catch((error: unknown) => {
          deps.log.warn('could not ask for a look at the fleet patch; the sweep will see it', { error });
        }),
    ),
  );
}
