import type { TenantSpec } from '../../lambdas/core/model/spec.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import { newTenant } from '../fakes/sim/tenants.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { ControlPlane } from './control-plane.ts';
import { problemsAtEnd } from './end.ts';
import type { Fargate } from './fargate.ts';
import { Judge, type WatchedStore } from './judge.ts';
import type { Network } from './network.ts';
import { Nodes } from './nodes.ts';
import { people } from './people.ts';
import { randomOf } from './random.ts';
import type { SimVolumes } from './volumes.ts';
import type { Weather } from './weather.ts';

export interface TenantWorld {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly fargate: Fargate;
  readonly network: Network;
  readonly weather: Weather;
  readonly store: WatchedStore;
  readonly names: InMemoryNameRegistry;
  readonly control: ControlPlane;
  readonly volumes: SimVolumes;
  /** Clients write less often after that, s of the history. */
  readonly quietS: number;
}

/** One tenant with all that is its own: its members, its client, its owner, and its judge. */
export interface TenantLife {
  readonly tenantId: string;
  readonly nodes: Nodes;
  readonly judge: Judge;
  readonly record: () => TenantRecord | undefined;
  readonly grant: ReturnType<typeof people>['grant'];
  /** How it differs from its spec, and from peace. */
  readonly problems: () => string[];
}

export function tenantLife(tenantId: string, index: number, world: TenantWorld): TenantLife {
  const { clock, seed, fargate, network, weather, store, names, control, volumes } = world;
  // The first tenant's randomness does not depend on how many there are.
  const stream = (name: string) => randomOf(seed, index === 0 ? name : `${name} ${index}`);
  const start = clock.now().getTime();
  let record: TenantRecord | undefined;
  const judge: Judge = new Judge({
    now: () => clock.now(),
    tenantId,
    fargate,
    nodes: () => nodes,
    network,
    record: () => record,
    storm: () => store.stormSince,
  });
  store.watch(tenantId, (saved) => {
    record = saved;
    if (saved) judge.saved(saved);
  });
  const nodes: Nodes = new Nodes({
    clock,
    tenantId,
    fargate,
    network,
    random: stream('nodes'),
    call: (route, body, task) => control.callJoin(route, body, task),
    events: judge,
    onCopy: (snapshotId) => volumes.onCopy(snapshotId),
    slowLearners: () =>
      weather.on('slow-learners').reduce((most, { fault }) => Math.max(most, fault.factor), 1),
  });
  const { grant } = people({
    clock,
    store,
    control,
    bucket: nodes.bucket,
    record: () => record,
    random: stream('people'),
  });

  const clients = stream('users');
  let written = 0;
  /** A client of the tenant: numbered writes, through whoever the name service names. */
  const write = (): void => {
    const busy = clock.now().getTime() < start + (world.quietS + 60) * 1_000;
    clock.at(busy ? clients.int(500, 4_000) : 30_000, write);
    const service = names.serviceOf(tenantId);
    const addresses = [...(service?.instances.values() ?? [])];
    const target = addresses.length > 0 ? clients.pick(addresses) : undefined;
    const node = target === undefined ? undefined : nodes.atAddress(target);
    if (!node?.raft || !node.disk?.up || network.isolated(node.task)) return;
    written += 1;
    if (node.raft.write(node.disk, written)) judge.acknowledge(written, node.raft);
  };
  clock.at(1_000, write);

  return {
    tenantId,
    nodes,
    judge,
    record: () => record,
    grant,
    problems: () => problemsAtEnd({ tenantId, record, fargate, nodes, names, judge, volumes }),
  };
}

/** The tenant as the API makes it. */
export async function beginLife(
  tenantId: string,
  spec: Partial<TenantSpec>,
  { clock, store, control }: TenantWorld,
): Promise<void> {
  const made = newTenant(tenantId, clock.now(), control.ids, spec);
  await store.create(made.record);
  await store.putOperation(made.operation);
  await control.dispatcher.look(tenantId, 'create');
}
