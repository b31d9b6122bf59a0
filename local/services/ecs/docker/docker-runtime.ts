import { type FileHandle, lchown, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { capLog, defaultMaxLogBytes } from '../log-file.ts';
import { identify, namespaceMembers } from '../process-table.ts';
import {
  type ContainerRuntime,
  type ContainerSpec,
  ContainerStartError,
  type RunningContainer,
} from '../runtime.ts';
import { createBody } from './container.ts';
import { type Engine, EngineError } from './engine.ts';
import { type ZoneNetwork, zoneNetworks } from './networks.ts';

export interface DockerRuntimeOptions {
  readonly engine: Engine;
  /** Of this cloud's containers and networks and of nobody else's: the state folder. */
  readonly owner: string;
  readonly vpcCidr: string;
  /** As environments have it: `http://127.0.0.1:<port>`; containers find the same at their network's gateway. */
  readonly endpointUrl: string;
  readonly onGateway: (address: string) => Promise<void>;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
  /** @default iptables(8) */
  readonly firewall?: ((args: readonly string[]) => Promise<unknown>) | undefined;
}

/** How long the last lines of a container that has ended are waited for. */
const lastWordsMs = 2_000;

/** Tasks as containers of a Docker engine on this machine: one network a zone, limits of cpu and memory enforced. */
export function createDockerRuntime(options: DockerRuntimeOptions): ContainerRuntime {
  const { engine, log } = options;
  const label = `etcd-nanny.state=${options.owner}`;
  const networks = zoneNetworks({ ...options, label });
  const reaped = new Set<string>();

  async function start(spec: ContainerSpec): Promise<RunningContainer> {
    const network = await networks.of(spec.network.zone, spec.network.subnetCidr);
    const here = new URL(options.endpointUrl);
    const there = `http://${network.gateway}:${here.port}`;
    const environment = Object.fromEntries(
      Object.entries(spec.environment).map(([name, value]) => [name, value.replaceAll(here.origin, there)]),
    );
    const labels = { 'etcd-nanny.state': options.owner, 'etcd-nanny.container': spec.name };
    for (const { directory } of spec.mounts) await giveTo(directory, spec.linux.user);
    let id: string | undefined;
    try {
      id = await engine.create({ name: spec.name, body: createBody(spec, network, environment, labels) });
      await engine.start(id);
      return await supervise(id, network, spec);
    } catch (error) {
      if (id !== undefined) await engine.remove(id);
      if (!(error instanceof EngineError)) throw error;
      const code =
        error.status === 404 && /no such image/i.test(error.message)
          ? 'CannotPullContainerError'
          : 'CannotStartContainerError';
      throw new ContainerStartError(code, error.message);
    }
  }

  async function supervise(id: string, network: ZoneNetwork, spec: ContainerSpec): Promise<RunningContainer> {
    const printed = copyLog(id, spec.logFile);
    const pid = await engine.pid(id);
    const identity = { ...identify(pid), containerId: id };
    let ended = false;
    const quietly = (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error: unknown) => log('Docker refused', { container: spec.name, error: String(error) }),
      );
    const exited = engine.wait(id).then(async ({ exitCode }) => {
      ended = true;
      await Promise.race([printed, sleep(lastWordsMs)]);
      // Its name and its address have to be free for the next start.
      await quietly(engine.remove(id));
      return { exitCode };
    });
    const processes = () => (ended || pid === 0 ? [] : namespaceMembers(pid));
    const signal = (name: NodeJS.Signals, target: 'main' | 'all'): void => {
      if (ended) return;
      if (target === 'all' && name === 'SIGSTOP') void quietly(engine.pause(id, true));
      else if (target === 'all' && name === 'SIGCONT') void quietly(engine.pause(id, false));
      else if (name === 'SIGKILL') void quietly(engine.pause(id, false).then(() => engine.kill(id, name)));
      else void quietly(engine.kill(id, name));
    };
    return {
      identity,
      exited,
      signal,
      processes,
      cut: () => quietly(engine.disconnect(network.name, id)),
      mend: () => quietly(ended ? Promise.resolve() : engine.connect(network.name, id, spec.network.ip)),
      async stop(graceMs) {
        // A container that is paused takes no signal.
        await quietly(engine.pause(id, false));
        await quietly(engine.kill(id, 'SIGTERM'));
        const timer = setTimeout(() => signal('SIGKILL', 'all'), graceMs);
        await exited;
        clearTimeout(timer);
      },
    };
  }

  /** Until the container has ended. A log that cannot be written must hurt nothing else. */
  async function copyLog(id: string, file: string): Promise<void> {
    let out: FileHandle | undefined;
    try {
      out = await open(file, 'a', 0o600);
      let written = 0;
      for await (const piece of await engine.logs(id)) {
        await out.appendFile(piece);
        written += piece.length;
        if (written > defaultMaxLogBytes / 16) {
          capLog(file, defaultMaxLogBytes);
          written = 0;
        }
      }
    } catch (error) {
      log('what a container prints cannot be kept', { container: id, error: String(error) });
    } finally {
      await out?.close();
    }
  }

  return {
    how: { cut: 'network disconnect: it runs on, and nobody reaches it', fillDisk: false },
    start,
    async open() {
      for (const id of await engine.withLabel(label)) if (await engine.remove(id)) reaped.add(id);
      for (const { id } of await engine.networks(label)) await engine.removeNetwork(id);
    },
    // All that was left has been removed when the runtime was opened.
    reap: async ({ containerId }) => containerId !== undefined && reaped.has(containerId),
    close: () => networks.close(),
  };
}

/** ECS makes a volume writable for its container's user. What a copy of a snapshot holds belongs to whoever copied it. */
async function giveTo(directory: string, user: string | undefined): Promise<void> {
  const [uid = 0, gid = uid] = (user ?? '0').split(':').map(Number);
  if (Number.isNaN(uid) || Number.isNaN(gid) || uid === 0) return;
  await lchown(directory, uid, gid);
  for (const entry of await readdir(directory, { recursive: true }))
    await lchown(path.join(directory, entry), uid, gid);
}
