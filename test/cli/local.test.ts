import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalCloud, World } from '../../bin/cli/world.ts';
import { type CliWorld, createCliWorld } from './world.ts';

let world: CliWorld;
let state: string;
beforeEach(async () => {
  world = await createCliWorld();
  state = join(world.dir, 'state');
  mkdirSync(state);
});
afterEach(() => world.close());

const cloudFile = (pid?: number) => {
  const file = { url: world.url, port: 4760, accessKeyId: 'AKIALOCAL', secretAccessKey: 's', pid };
  writeFileSync(join(state, 'cloud.json'), JSON.stringify(file));
};

/** A cloud whose endpoint is the API behind the test's own server. */
function fakeCloud(onStop: () => void = () => {}) {
  let settle: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const cloud: LocalCloud = {
    url: world.url,
    apiUrl: world.url,
    stopped,
    async stop() {
      onStop();
      settle();
    },
  };
  return { cloud, end: () => settle() };
}

/** etcdctl with one key. */
function fakeEtcdctl(options: { loses?: boolean } = {}): Pick<World, 'capture'> {
  let value = '';
  return {
    async capture(_program, args) {
      if (args[0] === 'put' && !options.loses) value = args[2]!;
      return { code: 0, stdout: args[0] === 'put' ? 'OK\n' : `${value}\n`, stderr: '' };
    },
  };
}

describe('local start', () => {
  test('creates demo, writes and reads a key through a client, and stays up until Ctrl-C', async () => {
    let interrupt: (name: string) => void = () => {};
    const interrupted = new Promise<string>((resolve) => {
      interrupt = resolve;
    });
    let stops = 0;
    const reports: string[] = [];
    world.hooks.before = async (method, url) => {
      if (method === 'GET' && url.includes('/operations/')) await world.api.finishCreation('demo');
      return undefined;
    };
    const running = world.run(['local', 'start', '--state', state, '--port', '4761'], {
      ...fakeEtcdctl(),
      startLocalCloud: async (options) => {
        expect(options).toMatchObject({ port: 4761, stateDir: state, repoDir: world.dir });
        cloudFile(1);
        options.onProgress('Synthesizing');
        return fakeCloud(() => stops++).cloud;
      },
      interrupted: () => interrupted,
      report: ({ kind, text }) => {
        reports.push(kind);
        if (kind === 'ready') {
          expect(text).toBe(world.url);
          expect(stops).toBe(0);
          interrupt('SIGINT');
        }
      },
    });
    const { code, out } = await running;
    expect(code).toBe(0);
    expect(stops).toBe(1);
    expect(reports).toContain('ready');
    const lines = out.split('\n').map((line) => line.replace(/^\[.{8,}?\] /, ''));
    expect(lines[0]).toBe('Synthesizing');
    expect(out).toMatch(/Creating tenant "demo": three members in three zones/);
    expect(out).toMatch(/Wrote the key "hello" through etcdctl over mTLS/);
    expect(out).toMatch(/Read it back: written 2026-11-22T12/);
    expect(out).toMatch(new RegExp(`npx nanny get demo --state ${state}`));
    expect(lines.at(-1)).toMatch(/^Stopped\. Everything comes back/);
  });

  test('finds the demo and its key again at the next start', async () => {
    await world.run(['create', 'demo']);
    await world.api.finishCreation('demo');
    const interrupted = Promise.withResolvers<string>();
    const { out } = await world.run(['local', 'start', '--state', state, '--json'], {
      capture: async (_program, args) => ({
        code: 0,
        stdout: args[0] === 'get' ? 'written 2026-11-22T12:00:00.000Z' : 'OK',
        stderr: '',
      }),
      startLocalCloud: async () => {
        cloudFile(1);
        return fakeCloud().cloud;
      },
      interrupted: () => interrupted.promise,
      report: ({ kind }) => kind === 'ready' && interrupted.resolve('SIGINT'),
    });
    expect(JSON.parse(out)).toEqual({ url: world.url, apiUrl: world.url, stateDir: state });
  });

  test('stops what it has started and exits with 1 when the client cannot read its key back', async () => {
    await world.run(['create', 'demo']);
    await world.api.finishCreation('demo');
    let stops = 0;
    const { code, err } = await world.run(['local', 'start', '--state', state], {
      ...fakeEtcdctl({ loses: true }),
      startLocalCloud: async () => {
        cloudFile(1);
        return fakeCloud(() => stops++).cloud;
      },
    });
    expect(code).toBe(1);
    expect(stops).toBe(1);
    expect(err).toMatch(/read back ""/);
  });

  test('--no-demo makes no tenant; ends when the cloud is stopped from elsewhere', async () => {
    const fake = fakeCloud();
    const { code } = await world.run(['local', 'start', '--state', state, '--no-demo'], {
      startLocalCloud: async () => fake.cloud,
      report: ({ kind }) => kind === 'ready' && fake.end(),
    });
    expect(code).toBe(0);
    expect(world.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  test('a Ctrl-C while it starts makes no tenant, and stops what has been started', async () => {
    let stops = 0;
    const { code, out } = await world.run(['local', 'start', '--state', state], {
      startLocalCloud: async () => fakeCloud(() => stops++).cloud,
      interrupted: async () => 'SIGINT',
    });
    expect(code).toBe(0);
    expect(stops).toBe(1);
    expect(out).toMatch(/Interrupted: stopping/);
    expect(world.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  test('refuses to start twice on one state', async () => {
    cloudFile(42);
    world.hooks.before = (_method, url) =>
      url === '/_local/status' ? Response.json({ pid: 42 }) : undefined;
    const { code, err } = await world.run(['local', 'start', '--state', state], { processAlive: () => true });
    expect(code).toBe(1);
    expect(err).toMatch(/runs already at .* \(process 42\).*nanny local stop/);
  });

  test('--detach shows what the background says and comes back when it is ready', async () => {
    const { code, out } = await world.run(['local', 'start', '--state', state, '--detach', '--no-demo'], {
      startBackground: async (args, logFile) => {
        expect(args).toEqual(['local', 'start', '--port', '4700', '--state', state, '--no-demo']);
        expect(logFile).toBe(join(state, 'cloud.log'));
        return {
          pid: 43,
          follow: async (onLine) => {
            onLine('Synthesizing');
            return { ready: true };
          },
        };
      },
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^Synthesizing\nRunning in the background \(process 43\)/);
    expect(out).toContain(`Stop it: npx nanny local stop --state ${state}`);
    const failed = await world.run(['local', 'start', '--state', state, '--detach'], {
      startBackground: async () => ({
        pid: 44,
        follow: async () => ({ ready: false, reason: 'Port 4700 of 127.0.0.1 is taken.' }),
      }),
    });
    expect(failed.code).toBe(1);
    expect(failed.err).toMatch(/did not start: Port 4700 .* taken\. Its log is/);
  });
});

describe('local stop and status', () => {
  test('status is 0 when it answers, 1 when not', async () => {
    expect((await world.run(['local', 'status', '--state', state])).code).toBe(1);
    cloudFile(42);
    world.hooks.before = (_method, url) =>
      url === '/_local/status' ? Response.json({ pid: 42 }) : undefined;
    const up = await world.run(['local', 'status', '--state', state, '--json'], { processAlive: () => true });
    expect(up.code).toBe(0);
    expect(up.json).toEqual({ running: true, stateDir: state, url: world.url, pid: 42, port: 4760 });
  });

  test('stop ends the process and waits for it', async () => {
    cloudFile(42);
    world.hooks.before = (_method, url) =>
      url === '/_local/status' ? Response.json({ pid: 42 }) : undefined;
    let alive = 3;
    const signals: unknown[] = [];
    const { code, out } = await world.run(['local', 'stop', '--state', state], {
      processAlive: () => alive > 0 && (signals.length === 0 || --alive > 0),
      signal: (pid, name) => void signals.push([pid, name]),
    });
    expect(code).toBe(0);
    expect(signals).toEqual([[42, 'SIGTERM']]);
    expect(out).toMatch(/has stopped\. Its state stays in/);
  });

  test('never signals a process that is not the cloud, although a crash has left its id behind', async () => {
    cloudFile(42);
    world.hooks.before = (_method, url) =>
      url === '/_local/status' ? Response.json({ pid: 99 }) : undefined;
    const { code, json } = await world.run(['local', 'stop', '--state', state, '--json'], {
      processAlive: () => true,
      signal: () => {
        throw new Error('signalled');
      },
    });
    expect(code).toBe(0);
    expect(json).toMatchObject({ stopped: false });
  });
});
