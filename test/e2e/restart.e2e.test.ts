import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { etcdctl } from './support/clients.ts';
import { freePort, type TestCloud, testCloud } from './support/cloud.ts';
import { finished, type Launched, launch } from './support/launched.ts';
import { isAlive, processesOf, workingOn } from './support/processes.ts';
import { until } from './support/until.ts';

/** What must be the same before and after a stop. */
const identity = ({ clusterId, members }: TenantDocument) => ({
  clusterId,
  members: members.map(({ name, etcdId, ip, taskArn, zone }) => ({ name, etcdId, ip, taskArn, zone })),
});

const allHealthy = ({ phase, members }: TenantDocument): boolean =>
  phase === 'available' && members.length > 0 && members.every(({ healthy }) => healthy);

const value = async (cloud: TestCloud, tenantId: string, key: string): Promise<string> => {
  const ctl = await etcdctl(cloud, tenantId);
  try {
    return await until(`${key} of ${tenantId}`, () => ctl.run('get', key, '--print-value-only'));
  } finally {
    ctl.dispose();
  }
};

/** Folders and processes of the clouds that are started as a user starts them. */
const folders: string[] = [];
const stateFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'nanny-e2e-restart-'));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) {
    // Only after a test that failed: by their ids, none of them is anybody else's.
    for (const { pid } of workingOn(folder)) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

/** Ctrl-C: to the whole foreground process group. */
const interrupt = async (run: Launched) => {
  run.signal('SIGINT');
  return run.exited;
};
const commandsOf = (stateDir: string) => workingOn(stateDir).map(({ command }) => command.join(' '));

let own: TestCloud;
let before: TenantDocument[];
beforeAll(async () => {
  own = await testCloud();
  await Promise.all([own.create('first'), own.create('second', { members: 1 })]);
  for (const tenantId of ['first', 'second']) {
    const ctl = await etcdctl(own, tenantId);
    await ctl.run('put', 'kept', `by ${tenantId}`);
    ctl.dispose();
  }
  before = await Promise.all(['first', 'second'].map((tenantId) => own.tenant(tenantId)));
});
afterAll(() => own?.dispose());

describe('stop and start of the local cloud on the same state', () => {
  beforeAll(() => own.restart());

  test('brings tenants back as they were: cluster, members, tasks, addresses, data', async () => {
    for (const was of before) {
      const tenant = await until(`${was.tenantId} to be available`, async () => {
        const now = await own.tenant(was.tenantId);
        return allHealthy(now) && now;
      });
      expect(identity(tenant)).toEqual(identity(was));
      expect(tenant.endpoints).toEqual(was.endpoints);
      expect(await value(own, was.tenantId, 'kept')).toBe(`by ${was.tenantId}`);
    }
  });

  test('and creates further tenants', async () => {
    const third = await own.create('third', { members: 1 });
    expect(allHealthy(third)).toBe(true);
    const taken = before.flatMap(({ members }) => members.map(({ ip }) => ip));
    expect(taken).not.toContain(third.members[0]!.ip);
  });
});

describe('npm start', () => {
  const stateDir = stateFolder();
  let port: number;
  let run: Launched;
  let value: string;
  const start = (...more: string[]) =>
    launch(['local', 'start', '--port', String(port), '--state', stateDir, ...more]);
  const written = (text: string) => /Read it back: (.*)/.exec(text)?.[1];

  test('creates demo, writes a key and reads it back', async () => {
    port = await freePort();
    run = start();
    await run.says('Ready: ');
    value = written(run.output())!;
    expect(value).toMatch(/^written 20/);
    expect(commandsOf(stateDir).filter((command) => command.includes('/etcd '))).toHaveLength(3);
  });

  test('a second one on the same state or on the same port is refused in a sentence', async () => {
    const same = await finished(['local', 'start', '--state', stateDir, '--port', String(await freePort())]);
    expect(same.code).toBe(1);
    expect(same.output).toMatch(/^A local cloud with this state runs already at http.*\.$/m);
    const other = await finished(['local', 'start', '--state', stateFolder(), '--port', String(port)]);
    expect(other.code).toBe(1);
    expect(other.output).toMatch(/^Port \d+ of 127\.0\.0\.1 is taken.*--port\.$/m);
    for (const { output } of [same, other]) expect(output).not.toMatch(/^\s+at /m);
  });

  test('ends at Ctrl-C with exit code 0 and leaves no process behind', async () => {
    expect(await interrupt(run)).toEqual({ code: 0, signal: null });
    expect(run.output()).toContain('Everything comes back at the next start');
    expect(commandsOf(stateDir)).toEqual([]);
  });

  test('comes back quickly, with the data of demo', async () => {
    const begin = Date.now();
    run = start();
    await run.says('Ready: ');
    console.log(`second start: ready after ${(Date.now() - begin) / 1000} s`);
    expect(run.output()).toContain('templates of the last start');
    expect(run.output()).toContain(`Read the key "hello" from last time: ${value}`);
    value = written(run.output())!;
    expect(await interrupt(run)).toEqual({ code: 0, signal: null });
    expect(commandsOf(stateDir)).toEqual([]);
  });

  test('--detach comes back when all is ready; status tells where; killed with -9, the next start brings all back', async () => {
    const detached = await finished([
      'local',
      'start',
      '--detach',
      '--json',
      '--port',
      String(port),
      '--state',
      stateDir,
    ]);
    expect(detached.code).toBe(0);
    const { pid, url } = JSON.parse(detached.stdout);
    expect(url).toBe(`http://127.0.0.1:${port}`);

    const status = await finished(['local', 'status', '--json', '--state', stateDir]);
    expect(status.code).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({ running: true, pid, url, port, stateDir });
    const told = await finished(['local', 'status', '--state', stateDir]);
    expect(told.stdout).toContain(`The local cloud is up at ${url}`);

    const get = await finished(['get', 'demo', '--json', '--state', stateDir]);
    const demo: TenantDocument = JSON.parse(get.stdout);
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isAlive(pid));
    const orphans = workingOn(stateDir).map((orphan) => orphan.pid);
    expect(orphans.length).toBeGreaterThanOrEqual(3);
    const dead = await finished(['local', 'status', '--json', '--state', stateDir]);
    expect(dead.code).toBe(1);
    expect(JSON.parse(dead.stdout)).toMatchObject({ running: false });

    run = start();
    await run.says('Ready: ');
    expect(orphans.filter(isAlive)).toEqual([]);
    expect(run.output()).toContain('Read the key "hello" from last time: written');
    const back = await until('demo to be available', async () => {
      const { stdout } = await finished(['get', 'demo', '--json', '--state', stateDir]);
      const now: TenantDocument = JSON.parse(stdout);
      return allHealthy(now) && now;
    });
    expect(identity(back)).toEqual(identity(demo));
  });

  test('two side by side do not disturb each other', async () => {
    // `own` of this process and the one just started, each with tenants.
    const mine = before.flatMap(({ members }) => members.map(({ name }) => processesOf(own.stateDir, name)));
    const stopped = await finished(['local', 'stop', '--json', '--state', stateDir]);
    expect(stopped.code).toBe(0);
    expect(JSON.parse(stopped.stdout)).toMatchObject({ stopped: true, pid: run.pid });
    expect(await run.exited).toEqual({ code: 0, signal: null });
    expect(commandsOf(stateDir)).toEqual([]);
    expect(mine.flatMap(({ nanny, etcd }) => [nanny.pid, etcd.pid]).filter((pid) => !isAlive(pid))).toEqual(
      [],
    );
    const first = await own.tenant('first');
    expect(allHealthy(first)).toBe(true);
    expect(identity(first)).toEqual(identity(before[0]!));

    const again = await finished(['local', 'stop', '--state', stateDir]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('No local cloud is up');
  });
});

test('Ctrl-C at any moment of the first start ends cleanly, and the next start finishes the demo', async () => {
  const stateDir = stateFolder();
  const port = await freePort();
  const start = () => launch(['local', 'start', '--port', String(port), '--state', stateDir]);

  const early = start();
  await early.says('Synthesizing');
  expect((await interrupt(early)).signal).toBeNull();
  // Between two steps it reaches no tool that would fail of it: then the start goes on to where it can stop.
  expect(early.output()).toMatch(/Stopped before it was up\.|Everything comes back at the next start\./);
  expect(commandsOf(stateDir)).toEqual([]);

  const middle = start();
  await middle.says('Creating tenant "demo"');
  expect(await interrupt(middle)).toEqual({ code: 0, signal: null });
  expect(commandsOf(stateDir)).toEqual([]);

  const last = start();
  await last.says('Synthesizing');
  const second = await finished(['local', 'start', '--state', stateDir, '--port', String(await freePort())]);
  expect(second.code).toBe(1);
  expect(second.output).toMatch(/^A local cloud .*already.*\.$/m);
  await last.says('Ready: ');
  expect(last.output()).toContain('Tenant "demo" is available');
  expect(await interrupt(last)).toEqual({ code: 0, signal: null });
  for (const { output } of [early, middle, last]) expect(output()).not.toMatch(/^\s+at /m);
  expect(commandsOf(stateDir)).toEqual([]);
});
