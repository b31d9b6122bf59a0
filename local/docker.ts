import { nodeImageUri } from './node-image.ts';
import { createEngine, type Engine } from './services/ecs/docker/engine.ts';
import { LocalCloudError } from './state.ts';

export type RuntimeName = 'process' | 'docker';

/** Set by `npm run image`: the versions of etcd in it. */
export const versionsLabel = 'etcd-nanny.etcd-versions';

export interface DockerMachine {
  readonly engine: Engine;
  /** Of etcd, in the image. */
  readonly versions: readonly string[];
}

/**
 * An engine with the image of the members, on a machine where containers can be reached by their own addresses.
 * @throws LocalCloudError with what is missing and what to do
 */
export async function findDockerMachine(
  engine: Engine = createEngine(),
  uid: number | undefined = process.getuid?.(),
  platform: string = process.platform,
): Promise<DockerMachine> {
  if (platform !== 'linux')
    throw new LocalCloudError(
      'The runtime "docker" needs Linux with its own Docker engine: elsewhere containers live in a virtual machine, and nothing here reaches their addresses. Run the local cloud in a Linux virtual machine.',
    );
  if (uid !== 0)
    throw new LocalCloudError(
      'The runtime "docker" needs root: it joins the networks of the zones (iptables) and gives volumes to the image\'s user. Run it with sudo, or use the runtime "process".',
    );
  try {
    await engine.version();
  } catch (error) {
    throw new LocalCloudError(
      `No Docker engine answers at /var/run/docker.sock (${(error as Error).message}). On Debian: apt-get install docker.io, then start dockerd.`,
    );
  }
  const image = await engine.image(nodeImageUri);
  if (image === undefined)
    throw new LocalCloudError(
      `The Docker engine has no image ${nodeImageUri}. Build it: npm run image (docs/image.md).`,
    );
  const versions = (image.labels[versionsLabel] ?? '').split(' ').filter(Boolean);
  if (versions.length === 0)
    throw new LocalCloudError(
      `The image ${nodeImageUri} does not say which etcd it has. Build it again: npm run image.`,
    );
  return { engine, versions };
}
