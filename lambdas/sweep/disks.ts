import { isOwned, ownerless } from '../core/left-disks.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { tellRemoved } from '../core/perform-disks.ts';
import type { Disk } from '../core/ports.ts';
import { checkStep } from '../core/safety.ts';
import { nobodysStays } from '../core/safety-disks.ts';
import type { Observation, Step } from '../core/step.ts';
import { updateTenant } from '../core/update-tenant.ts';
import type { SweepDeps } from './sweep.ts';

/** How often all kept disks of the cell are listed: for those that no record remembers. */
const roundMinutes = 10;

/**
 * Removes what former members of a tenant have left, once the rules let it. It takes no lease: names are never used again,
 * so a disk that is no member's now will never be one's, whatever happens to the cluster meanwhile.
 */
export async function removeLeftDisks(deps: SweepDeps, tenantId: string, seen: Observation): Promise<void> {
  const tenant = await deps.store.get(tenantId);
  if (tenant?.leftDisks === undefined) return;
  const { cell, clock, volumes } = deps;
  const disks = await volumes.list(cell, tenantId);
  const volumeIds = ownerless(tenant, disks).map(({ volumeId }) => volumeId);
  if (volumeIds.length > 0) {
    const step: Step = { kind: 'remove-disks', volumeIds };
    const zones = cell.subnets.map((subnet) => subnet.zone);
    const now = clock.now();
    const verdict = checkStep({ step, tenant, observation: { ...seen, disks }, now, zones });
    // Looked at again with the next sweep: until the cluster is well there is nothing to tell.
    if (!verdict.allowed) return;
    for (const volumeId of volumeIds) await volumes.remove(cell, volumeId);
    await deps.store.appendEvent({
      eventId: deps.ids.ulid(),
      tenantId,
      at: now.toISOString(),
      kind: 'done',
      message: tellRemoved(volumeIds),
    });
  }
  // What is still on its way off a task is looked for again.
  if (disks.some((disk) => !isOwned(tenant, disk) && disk.state === 'attached')) return;
  await updateTenant(deps, tenant, ({ leftDisks, ...rest }) =>
    leftDisks === tenant.leftDisks ? rest : undefined,
  );
}

/**
 * The round of every minute, each tenth time: kept disks that no record remembers. Of a tenant that exists they are noted
 * on its record, so that its own sweep removes them when it is well; nobody's are removed here.
 */
export async function sweepDisks(
  deps: Pick<SweepDeps, 'cell' | 'store' | 'volumes' | 'clock' | 'log'>,
): Promise<void> {
  const now = deps.clock.now();
  if (Math.floor(now.getTime() / 60_000) % roundMinutes !== 0) return;
  const byTenant = Map.groupBy(await deps.volumes.listKept(deps.cell), ({ tenantId }) => tenantId);
  for (const [tenantId, disks] of byTenant) {
    const tenant = await deps.store.get(tenantId);
    if (tenant === undefined) await removeNobodys(deps, disks, now);
    else await note(deps, tenant, disks, now);
  }
}

async function removeNobodys(
  { cell, volumes, log }: Pick<SweepDeps, 'cell' | 'volumes' | 'log'>,
  disks: readonly Disk[],
  now: Date,
): Promise<void> {
  for (const disk of disks) {
    if (nobodysStays(disk, undefined, now) !== undefined) continue;
    await volumes.remove(cell, disk.volumeId);
    log.info('Removed a disk of a tenant that does not exist', { ...disk });
  }
}

async function note(
  deps: Pick<SweepDeps, 'store' | 'clock'>,
  tenant: TenantRecord,
  disks: readonly Disk[],
  now: Date,
): Promise<void> {
  if (tenant.leftDisks !== undefined || ownerless(tenant, disks).length === 0) return;
  await updateTenant(deps, tenant, (stored) =>
    stored.leftDisks === undefined ? { ...stored, leftDisks: now.toISOString() } : undefined,
  );
}
