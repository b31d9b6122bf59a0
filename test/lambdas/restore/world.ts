import { readCatalogue } from '../../../lambdas/core/backup/catalogue.ts';
import type { Backup } from '../../../lambdas/core/model/backup.ts';
import type { Restore, RestoreTarget } from '../../../lambdas/core/model/restore.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { pinSource } from '../../../lambdas/core/restore/pin.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { newTenant } from '../../fakes/sim/tenants.ts';
import { problemsOf, type World } from '../../fakes/sim/world.ts';

export { healed, record, started, told } from '../remediate/world.ts';

/** A full backup of the present incarnation, and segments behind it up to `shipped`. */
export async function backedUp(world: World, revision: number, shipped?: number): Promise<Backup> {
  const tenant = (await world.store.get('acme'))!;
  const incarnation = tenant.incarnation.number;
  const backupId = world.ids.ulid();
  const at = world.clock.now().toISOString();
  const below = `${tenant.cell}/acme/${incarnation}/`;
  const backup: Backup = {
    backupId,
    tenantId: 'acme',
    incarnation,
    key: `${below}full/${backupId}.snap`,
    sha256: 'f'.repeat(64),
    bytes: 4_000_000,
    revision,
    etcdVersion: '3.6.16',
    member: Object.keys(tenant.members)[0] ?? 'maaaaaaaa',
    reason: 'scheduled',
    startedAt: at,
    contentAt: at,
    endedAt: at,
  };
  await world.store.putBackup(backup);
  world.members.bucket.objects.set(backup.key, revision);
  if (shipped !== undefined) world.members.bucket.deltas.set(`${below}delta/`, shipped);
  return backup;
}

async function pinOf(world: World, target: RestoreTarget) {
  const deps = { store: world.store, objects: world.members.bucket };
  const choice = pinSource(target, await readCatalogue(deps, 'cell-1', 'acme'), 'cell-1');
  if (choice.kind !== 'pinned') throw new Error(choice.problem);
  return choice.pin;
}

/** As the API does it. @returns the operation's id */
export async function restore(world: World, target: RestoreTarget = { kind: 'newest' }): Promise<string> {
  const operationId = world.ids.ulid();
  const tenant = (await world.store.get('acme'))!;
  const wanted: Restore = {
    operationId,
    target,
    pin: await pinOf(world, target),
    incarnation: tenant.incarnation.number,
    knownRevision: tenant.highestRevision,
    requestedAt: world.clock.now().toISOString(),
  };
  await updateTenant(world, tenant, (stored) => ({
    ...stored,
    restore: wanted,
    operation: { operationId, kind: 'restore' },
  }));
  await world.dispatcher.look('acme', 'restore');
  return operationId;
}

export async function clone(world: World, target: RestoreTarget = { kind: 'newest' }): Promise<void> {
  const { record, operation } = newTenant('copy', world.clock.now(), world.ids);
  const wanted: Restore = {
    operationId: operation.operationId,
    target,
    pin: await pinOf(world, target),
    incarnation: 1,
    knownRevision: 0,
    requestedAt: world.clock.now().toISOString(),
  };
  await world.store.create({ ...record, restore: wanted });
  await world.store.putOperation(operation);
  await world.dispatcher.look('copy', 'create');
}

/** As the API does it. */
export async function ask(world: World, kind: 'hibernate' | 'wake'): Promise<string> {
  const operationId = world.ids.ulid();
  const tenant = (await world.store.get('acme'))!;
  await updateTenant(world, tenant, (stored) => ({ ...stored, operation: { operationId, kind } }));
  await world.dispatcher.look('acme', 'restore');
  return operationId;
}

export const asleep = (world: World) => async (): Promise<boolean> => {
  const tenant = await world.store.get('acme');
  return tenant?.status.phase === 'hibernated' && tenant.operation === undefined && !tenant.lease;
};

/** An operation that failed is no problem of the tenant here. */
export const problems = async (world: World): Promise<string[]> =>
  (await problemsOf(world, 'acme')).filter((problem) => problem !== 'an operation has not succeeded');

export const change = async (world: World, mutate: (tenant: TenantRecord) => TenantRecord): Promise<void> => {
  await updateTenant(world, (await world.store.get('acme'))!, mutate);
};
