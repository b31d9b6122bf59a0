import path from 'node:path';
import type { CloudContext, JsonService, ResourceProvider } from '../../aws/service.ts';
import { createChaos, createChaosState, type EcsChaos } from './chaos.ts';
import { mountPrefix } from './environment.ts';
import { createLifeCycle } from './life-cycle.ts';
import { createMetadataHandler } from './metadata.ts';
import type { VolumeRecord } from './model.ts';
import { createOperations } from './operations.ts';
import { createProcessRuntime } from './process-runtime.ts';
import { createProviders } from './providers.ts';
import type { Subnet } from './run-task.ts';
import type { ContainerRuntime, ImageCatalog } from './runtime.ts';
import { openStore } from './store.ts';

export type { EcsChaos } from './chaos.ts';
export type { Subnet } from './run-task.ts';
export type { ContainerRuntime, ImageCatalog } from './runtime.ts';

export interface EcsOptions {
  readonly context: CloudContext;
  /** Subnets of the templates, by physical id; undefined when there is none. */
  lookupSubnet(subnetId: string): Subnet | undefined;
  /** What the process runtime runs for an image URI. */
  readonly images: ImageCatalog;
  /** @default processes of this machine, from `images` */
  readonly runtime?: ContainerRuntime;
  /** @default the system's clock */
  now?(): Date;
  /** How long containers may take to stop when the cloud is suspended, ms. @default 20000 */
  readonly suspendTimeoutMs?: number;
}

export interface Ecs {
  /**
   * `start` runs again what ran when the cloud went down: call it after the templates are provisioned. `stop` suspends:
   * the containers end, the tasks stay as they are on disk.
   */
  readonly service: JsonService & { start(): Promise<void>; stop(): Promise<void> };
  readonly providers: readonly ResourceProvider[];
  readonly chaos: EcsChaos;
  /** Managed EBS volumes, those kept after their task included. */
  volumes(): VolumeRecord[];
}

/** The ECS of the local cloud: Fargate tasks as processes. Cpu, memory and disk sizes are shown, not enforced. */
export function createEcs(options: EcsOptions): Ecs {
  const { context } = options;
  const now = () => options.now?.() ?? new Date();
  const store = openStore(path.join(context.stateDir, 'ecs'));
  const chaos = createChaosState();
  const runtime = options.runtime ?? createProcessRuntime({ images: options.images });
  const life = createLifeCycle({
    context,
    store,
    runtime,
    chaos,
    now,
    suspendTimeoutMs: options.suspendTimeoutMs ?? 20_000,
  });
  context.mount(mountPrefix, createMetadataHandler(context, store.state, now));
  return {
    service: {
      kind: 'json',
      name: 'ecs',
      targetPrefix: 'AmazonEC2ContainerServiceV20141113',
      jsonVersion: '1.1',
      operations: createOperations(
        { context, store, chaos, now, lookupSubnet: (id) => options.lookupSubnet(id) },
        life,
      ),
      start: () => life.resume(),
      stop: () => life.suspend(),
    },
    providers: createProviders(context, store, now),
    chaos: createChaos(chaos, life.containersOf, () => store.state.tasks),
    volumes: () => Object.values(store.state.volumes),
  };
}
