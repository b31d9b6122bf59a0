import path from 'node:path';
import type { CloudContext, JsonService, ServiceModule } from '../../aws/service.ts';
import { createChaos, createChaosState, type EcsChaos } from './chaos.ts';
import { createDisks, type Disks } from './disks.ts';
import { containerSpec, mountPrefix } from './environment.ts';
import { createLifeCycle } from './life-cycle.ts';
import { createMetadataHandler } from './metadata.ts';
import { createOperations } from './operations.ts';
import { createProcessRuntime } from './process-runtime.ts';
import { createProviders } from './providers.ts';
import type { ContainerRuntime, ImageCatalog } from './runtime.ts';
import { openStore } from './store.ts';

export type { ChaosTask, EcsChaos } from './chaos.ts';
export type { ContainerRuntime, ImageCatalog } from './runtime.ts';

export interface EcsOptions {
  /** What the process runtime runs for an image URI. */
  readonly images: ImageCatalog;
  /** @default processes of this machine, from `images` */
  readonly runtime?: ContainerRuntime;
  /** @default the system's clock */
  now?(): Date;
  /** How long containers may take to stop when the cloud is suspended, ms. @default 20000 */
  readonly suspendTimeoutMs?: number;
}

/**
 * `start` runs again what ran when the cloud went down. `stop` suspends: the containers end, the tasks stay on disk as
 * they are.
 */
export interface Ecs extends ServiceModule {
  readonly services: readonly [JsonService];
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly chaos: EcsChaos;
  /** Managed EBS volumes, those kept after their task included, and their snapshots. */
  readonly disks: Disks;
}

/**
 * The ECS of the local cloud: Fargate tasks as processes (cpu and memory are shown, not enforced) or as containers of a
 * Docker engine. Disk sizes are shown, not enforced.
 */
export function createEcs(context: CloudContext, options: EcsOptions): Ecs {
  const now = () => options.now?.() ?? new Date();
  const store = openStore(path.join(context.stateDir, 'ecs'));
  const chaos = createChaosState();
  const runtime = options.runtime ?? createProcessRuntime({ images: options.images });
  const suspendTimeoutMs = options.suspendTimeoutMs ?? 20_000;
  const disks = createDisks(context, store, now);
  const life = createLifeCycle({ context, store, runtime, chaos, disks, now, suspendTimeoutMs });
  context.mount(mountPrefix, createMetadataHandler(context, store.state, now));
  const service: JsonService = {
    kind: 'json',
    name: 'ecs',
    targetPrefix: 'AmazonEC2ContainerServiceV20141113',
    jsonVersion: '1.1',
    operations: createOperations({ context, store, chaos, now }, life),
  };
  return {
    services: [service],
    providers: createProviders(context, store, now),
    async start() {
      await runtime.open?.();
      await life.resume();
    },
    async stop() {
      await life.suspend();
      await runtime.close?.();
    },
    chaos: createChaos(chaos, life.containersOf, () => store.state.tasks, {
      how: runtime.how,
      stop: (task, reason) => life.stop(task, 'UserInitiated', reason),
      loseDisk(task) {
        const volume = task.volume && store.state.volumes[task.volume.volumeId];
        if (volume) volume.deleteOnTermination = true;
        store.save();
      },
      volumesOf: (task) =>
        task.containers.flatMap((container) =>
          containerSpec(task, container, store.state, context).mounts.map(({ directory }) => directory),
        ),
    }),
    disks,
  };
}
