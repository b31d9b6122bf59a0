import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeImageUri } from '../../local/node-image.ts';
import { createDockerRuntime } from '../../local/services/ecs/docker/docker-runtime.ts';
import { createEngine } from '../../local/services/ecs/docker/engine.ts';
import type { RunningContainer } from '../../local/services/ecs/runtime.ts';
import { until } from './support/until.ts';

/** The Docker runtime on a real engine, without a control plane: what etcd needs of it, seen from inside and outside. */
const port = 4699;
const folder = mkdtempSync(join(tmpdir(), 'nanny-docker-runtime-'));
const servers: Server[] = [];
/** Tells who calls it; with `?to=` it calls somebody else and tells what came of it. */
const app = `
const { readFileSync, writeFileSync } = require('fs');
require('http').createServer(async (request, answer) => {
  const to = new URL(request.url, 'http://x').searchParams.get('to');
  if (!to) return answer.end(request.socket.remoteAddress);
  try { answer.end(await (await fetch(to, { signal: AbortSignal.timeout(3000) })).text()); }
  catch (error) { answer.end('failed'); }
}).listen(2379, process.env.IP, () => console.log('memory', readFileSync(
  require('fs').existsSync('/sys/fs/cgroup/memory.max') ? '/sys/fs/cgroup/memory.max' : '/sys/fs/cgroup/memory/memory.limit_in_bytes', 'utf8').trim()));
writeFileSync('/var/lib/etcd/file', 'kept');
try { writeFileSync('/opt/file', ''); } catch (error) { console.log(error.code); }
process.on('SIGTERM', () => { if (!process.env.DEAF) process.exit(7); });
`;

const newRuntime = () =>
  createDockerRuntime({
    // The image's entry point is the nanny: these containers are something else on its file system.
    engine: {
      ...engine,
      create: ({ name, body }) =>
        engine.create({ name, body: { ...(body as object), Entrypoint: ['node', '-e', app] } }),
    },
    owner: folder,
    vpcCidr: '10.19.0.0/16',
    endpointUrl: `http://127.0.0.1:${port}`,
    onGateway: (address) =>
      new Promise((resolve, reject) => {
        const server = createServer((request, answer) => answer.end(request.socket.remoteAddress));
        servers.push(server.on('error', reject).listen(port, address, resolve));
      }),
    log: () => undefined,
  });
const engine = createEngine();
const runtime = newRuntime();

const zones = {
  a: { zone: 'zone-a', subnetCidr: '10.19.0.0/18', ip: '10.19.0.4', gateway: '10.19.0.1' },
  b: { zone: 'zone-b', subnetCidr: '10.19.64.0/18', ip: '10.19.64.4', gateway: '10.19.64.1' },
} as const;
type Where = keyof typeof zones;

function start(where: Where, environment: Record<string, string> = {}): Promise<RunningContainer> {
  const directory = join(folder, where);
  const volume = join(directory, 'volume');
  mkdirSync(volume, { recursive: true });
  return runtime.start({
    name: `nanny-e2e-${where}-${process.pid}`,
    image: nodeImageUri,
    environment: { IP: zones[where].ip, ...environment },
    mounts: [{ containerPath: '/var/lib/etcd', directory: volume }],
    directory,
    logFile: join(directory, 'log'),
    network: zones[where],
    cpuUnits: 512,
    memoryMiB: 256,
    linux: {
      user: '10001:10001',
      readonlyRootFilesystem: true,
      initProcess: true,
      dropCapabilities: ['ALL'],
    },
    marker: where,
  });
}

const url = (where: Where) => `http://${zones[where].ip}:2379/`;
const ask = async (address: string, timeoutMs = 10_000): Promise<string> => {
  try {
    return await (await fetch(address, { signal: AbortSignal.timeout(timeoutMs) })).text();
  } catch {
    return 'failed';
  }
};
const through = (where: Where, to: string) => ask(`${url(where)}?to=${to}`);
const answers = (where: Where) =>
  until(`${where} to answer`, async () => (await ask(url(where), 2_000)) !== 'failed', {
    deadlineMs: 240_000,
  });

let a: RunningContainer;
let b: RunningContainer;
beforeAll(async () => {
  await runtime.open!();
  [a, b] = await Promise.all([start('a'), start('b', { DEAF: '1' })]);
  await Promise.all([answers('a'), answers('b')]);
});
afterAll(async () => {
  // Also what a failed test has left.
  await newRuntime().open!();
  await runtime.close!();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

test('members of two zones see each other by their own addresses, and so does who they call on this machine', async () => {
  expect(await through('a', url('b'))).toBe(zones.a.ip);
  expect(await through('b', url('a'))).toBe(zones.b.ip);
  expect(await through('b', `http://${zones.b.gateway}:${port}/`)).toBe(zones.b.ip);
  expect(await ask(url('a'))).toBe(zones.a.gateway);
});

test("limits and the read-only root hold, and the volume belongs to the image's user", () => {
  const log = readFileSync(join(folder, 'a', 'log'), 'utf8');
  expect(log).toContain(`memory ${256 * 1024 * 1024}`);
  expect(log).toContain('EROFS');
  expect(statSync(join(folder, 'a', 'volume', 'file')).uid).toBe(10001);
});

test('who is cut off runs on and nobody reaches it; healed, it has the address that it had', async () => {
  const before = [...a.processes()];
  await a.cut();
  expect(await through('b', url('a'))).toBe('failed');
  expect(a.processes()).toEqual(before);
  await a.mend();
  await answers('a');
  expect(await through('b', url('a'))).toBe(zones.b.ip);
});

test('who is paused is silent until it goes on', async () => {
  a.signal('SIGSTOP', 'all');
  await until('silence', async () => (await ask(url('a'), 1_000)) === 'failed');
  a.signal('SIGCONT', 'all');
  await answers('a');
});

test('it ends with its own code on SIGTERM, and by force when its time is up', async () => {
  await a.stop(120_000);
  expect(await a.exited).toEqual({ exitCode: 7 });
  await b.stop(500);
  expect(await b.exited).toEqual({ exitCode: 137 });
});

test('started again it has the same address and the same disk; killed, its end is told', async () => {
  a = await start('a');
  await answers('a');
  a.signal('SIGKILL', 'main');
  expect(await a.exited).toEqual({ exitCode: 137 });
});

test('what a killed cloud has left is gone when the next one has opened', async () => {
  a = await start('a');
  const next = newRuntime();
  await next.open!();
  expect(await next.reap(a.identity, {} as never)).toBe(true);
  await a.exited;
  expect(await engine.withLabel(`etcd-nanny.state=${folder}`)).toEqual([]);
  expect(await engine.networks(`etcd-nanny.state=${folder}`)).toEqual([]);
});
