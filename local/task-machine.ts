import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { nannyNodeFlags } from '../node-image/bundle.ts';
import { buildNanny } from './build.ts';
import { findDockerMachine, type RuntimeName } from './docker.ts';
import { findEtcd } from './etcd.ts';
import { nodeImageUri } from './node-image.ts';
import type { Engine } from './services/ecs/docker/engine.ts';
import type { ImageCatalog } from './services/ecs/index.ts';
import { LocalCloudError } from './state.ts';

/** What tasks of the local cloud run on. */
export interface TaskMachine {
  /** Versions of etcd that members can run. */
  readonly versions: readonly string[];
  /** Network of the VPC, unless somebody wants another. */
  readonly vpcCidr: string;
  /** For the process runtime. */
  readonly images: ImageCatalog;
  /** For the Docker runtime. */
  readonly engine?: Engine;
  /** @throws LocalCloudError when members could not have addresses of this network */
  requireAddresses(vpcCidr: string): Promise<void>;
}

export interface TaskMachineOptions {
  readonly runtime: RuntimeName;
  /** A number for this cloud among those of this machine, 0 to 199: their networks must not meet. */
  readonly place: number;
  readonly repoDir: string;
  readonly stateDir: string;
  readonly etcdDir?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (line: string) => void;
}

/** @throws LocalCloudError */
export async function prepareTaskMachine(options: TaskMachineOptions): Promise<TaskMachine> {
  keepRuntime(options.stateDir, options.runtime);
  if (options.runtime === 'docker') {
    const { engine, versions } = await findDockerMachine();
    const vpcCidr = `10.${20 + options.place}.0.0/16`;
    return { engine, versions, vpcCidr, images: {}, requireAddresses: async () => undefined };
  }
  const { repoDir, stateDir, etcdDir, environment, onProgress } = options;
  const etcd = await findEtcd({ directory: etcdDir, environment, onProgress });
  const nanny = await buildNanny({ repoDir, stateDir });
  const images = {
    [nodeImageUri]: {
      command: [process.execPath, ...nannyNodeFlags, nanny],
      environment: { NANNY_ETCD_DIR: etcd.directory },
    },
  };
  // Loopback: every member has an address of its own there.
  const vpcCidr = `127.${20 + options.place}.0.0/16`;
  return { versions: etcd.versions, vpcCidr, images, requireAddresses };
}

/** Tasks keep their addresses over a restart, and those of the two runtimes are not of one kind. */
export function keepRuntime(stateDir: string, runtime: RuntimeName): void {
  const file = join(stateDir, 'runtime');
  const before = existsSync(file)
    ? readFileSync(file, 'utf8').trim()
    : existsSync(join(stateDir, 'ecs'))
      ? 'process'
      : runtime;
  if (before !== runtime)
    throw new LocalCloudError(
      `The state in ${stateDir} belongs to the runtime "${before}": start with --runtime ${before}, or give another --state for "${runtime}".`,
    );
  writeFileSync(file, `${runtime}\n`);
}

/** Every member listens on its own loopback address: Linux has all of 127.0.0.0/8, macOS only 127.0.0.1. */
async function requireAddresses(vpcCidr: string): Promise<void> {
  const address = vpcCidr.replace(/\.\d+\/\d+$/, '.4');
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const server = createServer().once('error', resolve);
    server.listen(0, address, () => server.close(() => resolve(undefined)));
  });
  if (error)
    throw new LocalCloudError(
      `This machine has no address ${address} (${error.code}): each member needs a loopback address of its own. Linux has them all; on macOS run the local cloud in a Linux virtual machine or container.`,
    );
}
