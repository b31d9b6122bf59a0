import type { ContainerSpec } from '../runtime.ts';
import type { ZoneNetwork } from './networks.ts';

/** Bytes that Docker itself keeps of what a container prints; the whole of it goes to the task's log file. */
const keptLog = '16m';

/** What `POST /containers/create` is asked for, so that the container is what Fargate would make of the definition. */
export function createBody(
  spec: ContainerSpec,
  network: ZoneNetwork,
  environment: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
) {
  const { user, readonlyRootFilesystem, initProcess, dropCapabilities } = spec.linux;
  const memory = spec.memoryMiB * 1024 * 1024;
  return {
    Image: spec.image,
    ...(spec.command && { Cmd: spec.command }),
    ...(user !== undefined && { User: user }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    Labels: labels,
    HostConfig: {
      NetworkMode: network.name,
      Mounts: spec.mounts.map(({ containerPath, directory }) => ({
        Type: 'bind',
        Source: directory,
        Target: containerPath,
      })),
      Memory: memory,
      // No swap on top of it.
      MemorySwap: memory,
      NanoCpus: Math.round((spec.cpuUnits / 1024) * 1e9),
      ReadonlyRootfs: readonlyRootFilesystem,
      Init: initProcess,
      CapDrop: dropCapabilities,
      SecurityOpt: ['no-new-privileges'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': keptLog, 'max-file': '1' } },
      RestartPolicy: { Name: 'no' },
    },
    NetworkingConfig: {
      EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: spec.network.ip } } },
    },
  };
}
