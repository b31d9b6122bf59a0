import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDockerRuntime } from '../../../../../local/services/ecs/docker/docker-runtime.ts';
import { type Engine, EngineError } from '../../../../../local/services/ecs/docker/engine.ts';
import { zoneNetworks } from '../../../../../local/services/ecs/docker/networks.ts';
import type { ContainerRuntime, ContainerSpec } from '../../../../../local/services/ecs/runtime.ts';

/** What an engine was asked for, in order; containers end when they are killed. */
class FakeEngine implements Engine {
  readonly asked: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the tests look at
  readonly bodies: any[] = [];
  left: string[] = [];
  leftNetworks: { id: string; name: string }[] = [];
  missing = false;
  readonly #ends = new Map<string, (exit: { exitCode: number }) => void>();
  #next = 1;

  version = async () => '20.10';
  image = async () => ({ labels: {} });
  async create({ name, body }: { name: string; body: unknown }) {
    if (this.missing) throw new EngineError(404, 'No such image: x');
    this.asked.push(`create ${name}`);
    this.bodies.push(body);
    return `c${this.#next++}`;
  }
  start = async (id: string) => void this.asked.push(`start ${id}`);
  pid = async () => 0;
  wait = (id: string) =>
    new Promise<{ exitCode: number }>((resolve) => {
      this.#ends.set(id, resolve);
    });
  async kill(id: string, signal: NodeJS.Signals) {
    this.asked.push(`kill ${id} ${signal}`);
    if (signal === 'SIGKILL') this.end(id, 137);
  }
  end = (id: string, exitCode: number) => this.#ends.get(id)?.({ exitCode });
  pause = async (id: string, on: boolean) => void this.asked.push(`${on ? 'pause' : 'unpause'} ${id}`);
  async remove(id: string) {
    this.asked.push(`remove ${id}`);
    return true;
  }
  async logs() {
    return (async function* () {
      yield Buffer.from('hello\n');
    })();
  }
  withLabel = async () => this.left;
  async createNetwork(body: unknown) {
    this.asked.push('network');
    this.bodies.push(body);
    return 'n1';
  }
  networks = async () => this.leftNetworks;
  removeNetwork = async (id: string) => void this.asked.push(`remove network ${id}`);
  connect = async (network: string, id: string, ip: string) =>
    void this.asked.push(`connect ${id} ${network} ${ip}`);
  disconnect = async (network: string, id: string) => void this.asked.push(`disconnect ${id} ${network}`);
}

let engine: FakeEngine;
let folder: string;
let runtime: ContainerRuntime;
const gateways: string[] = [];
const firewall: string[] = [];
beforeEach(() => {
  engine = new FakeEngine();
  folder = mkdtempSync(path.join(tmpdir(), 'nanny-docker-'));
  gateways.length = 0;
  firewall.length = 0;
  runtime = createDockerRuntime({
    engine,
    owner: '/state',
    vpcCidr: '10.20.0.0/16',
    endpointUrl: 'http://127.0.0.1:4700',
    onGateway: async (address) => void gateways.push(address),
    log: () => undefined,
    firewall: async (args) => {
      firewall.push(args.join(' '));
      if (args[0] === '-C') throw new Error('no such rule');
    },
  });
});
afterEach(() => rmSync(folder, { recursive: true, maxRetries: 20, retryDelay: 50 }));

function spec(more: Partial<ContainerSpec> = {}): ContainerSpec {
  const directory = path.join(folder, 'volume');
  mkdirSync(directory, { recursive: true });
  return {
    name: 'etcd-nanny-1-member',
    image: 'etcd-nanny/node-image:local',
    environment: { NANNY_JOIN_URL: 'http://127.0.0.1:4700/_api/x/prod', OTHER: '127.0.0.1' },
    mounts: [{ containerPath: '/var/lib/etcd', directory }],
    directory: folder,
    logFile: path.join(folder, 'task.log'),
    network: { ip: '10.20.64.4', subnetCidr: '10.20.64.0/18', zone: 'us-east-1b' },
    cpuUnits: 512,
    memoryMiB: 1024,
    linux: { user: undefined, readonlyRootFilesystem: true, initProcess: true, dropCapabilities: ['ALL'] },
    marker: 'secret',
    ...more,
  };
}

test('a container has the limits, the address and the hardening of its task definition', async () => {
  await runtime.start(spec());
  const [network, container] = engine.bodies;
  expect(network.IPAM.Config).toEqual([{ Subnet: '10.20.64.0/18', Gateway: '10.20.64.1' }]);
  expect(container.HostConfig).toMatchObject({
    Memory: 1024 * 1024 * 1024,
    MemorySwap: 1024 * 1024 * 1024,
    NanoCpus: 500_000_000,
    ReadonlyRootfs: true,
    Init: true,
    CapDrop: ['ALL'],
  });
  const [endpoint] = Object.values(container.NetworkingConfig.EndpointsConfig);
  expect(endpoint).toEqual({ IPAMConfig: { IPv4Address: '10.20.64.4' } });
});

test('what it calls on loopback it finds at the gateway of its zone, where somebody listens', async () => {
  await runtime.start(spec());
  expect(engine.bodies[1].Env).toEqual([
    'NANNY_JOIN_URL=http://10.20.64.1:4700/_api/x/prod',
    'OTHER=127.0.0.1',
  ]);
  expect(gateways).toEqual(['10.20.64.1']);
});

test('tasks that start at once make the network of their zone once, and the rule between zones once', async () => {
  const other = { ip: '10.20.0.4', subnetCidr: '10.20.0.0/18', zone: 'us-east-1a' };
  await Promise.all([runtime.start(spec()), runtime.start(spec()), runtime.start(spec({ network: other }))]);
  expect(engine.asked.filter((what) => what === 'network')).toHaveLength(2);
  expect(firewall).toEqual([
    '-C DOCKER-USER -s 10.20.0.0/16 -d 10.20.0.0/16 -j ACCEPT',
    '-I DOCKER-USER -s 10.20.0.0/16 -d 10.20.0.0/16 -j ACCEPT',
  ]);
});

test('a network that cannot be made fails this start, and the next one tries again', async () => {
  let refuse = true;
  const make = engine.createNetwork.bind(engine);
  engine.createNetwork = async (body) => {
    if (refuse) throw new EngineError(403, 'Pool overlaps with other one on this address space');
    return make(body);
  };
  await expect(runtime.start(spec())).rejects.toThrow(
    /ResourceInitializationError.*10\.20\.64\.0\/18.*overlaps/,
  );
  refuse = false;
  await runtime.start(spec());
});

test('an image that is not there is told in the words of ECS', async () => {
  engine.missing = true;
  await expect(runtime.start(spec())).rejects.toThrow(/^CannotPullContainerError: No such image/);
});

test('the end of a container is told when its name is free again, and its log is whole', async () => {
  const running = await runtime.start(spec());
  engine.end('c1', 3);
  expect(await running.exited).toEqual({ exitCode: 3 });
  expect(engine.asked.at(-1)).toBe('remove c1');
  expect(readFileSync(path.join(folder, 'task.log'), 'utf8')).toBe('hello\n');
});

test('a container that does not heed SIGTERM is killed when its time is up, also one that is paused', async () => {
  const running = await runtime.start(spec());
  running.signal('SIGSTOP', 'all');
  await running.stop(20);
  const told = engine.asked.filter((what) => /pause|kill/.test(what));
  expect(told).toEqual(['pause c1', 'unpause c1', 'kill c1 SIGTERM', 'unpause c1', 'kill c1 SIGKILL']);
  expect(await running.exited).toEqual({ exitCode: 137 });
});

test('who is cut off leaves the network, and comes back with the address that it had', async () => {
  const running = await runtime.start(spec());
  await running.cut();
  await running.mend();
  expect(engine.asked.slice(-2)).toEqual([
    'disconnect c1 etcd-nanny-us-east-1b-10.20.64.0-18',
    'connect c1 etcd-nanny-us-east-1b-10.20.64.0-18 10.20.64.4',
  ]);
});

test('what a cloud that was killed has left is cleared before anything starts', async () => {
  engine.left = ['old'];
  engine.leftNetworks = [{ id: 'n0', name: 'etcd-nanny-us-east-1a' }];
  await runtime.open!();
  expect(engine.asked).toEqual(['remove old', 'remove network n0']);
  expect(await runtime.reap({ pid: 1, containerId: 'old' }, spec())).toBe(true);
  expect(await runtime.reap({ pid: 1, containerId: 'another' }, spec())).toBe(false);
});

test('nothing stays behind: networks and the rule between zones go at the stop', async () => {
  const networks = zoneNetworks({
    engine,
    label: 'etcd-nanny.state=/state',
    vpcCidr: '10.20.0.0/16',
    onGateway: async () => undefined,
    firewall: async (args) => void firewall.push(args.join(' ')),
  });
  await networks.of('us-east-1a', '10.20.0.0/18');
  engine.leftNetworks = [{ id: 'n1', name: 'etcd-nanny-us-east-1a' }];
  await networks.close();
  expect(engine.asked.at(-1)).toBe('remove network n1');
  expect(firewall.at(-1)).toBe('-D DOCKER-USER -s 10.20.0.0/16 -d 10.20.0.0/16 -j ACCEPT');
});
