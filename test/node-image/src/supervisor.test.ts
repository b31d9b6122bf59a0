import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { EtcdSupervisor } from '../../../node-image/src/supervisor.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { until } from './support/until.ts';

interface Entry {
  lines?: string[];
  wal?: boolean;
  ready?: boolean;
  code?: number;
  afterMs?: number;
}

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean();
});

function supervise(script: Entry[]) {
  const directory = mkdtempSync(join(tmpdir(), 'nanny-supervisor-'));
  writeFileSync(join(directory, 'script.json'), JSON.stringify(script));
  const ended: { state: string; reason: string }[] = [];
  const states: string[] = [];
  const logged: string[] = [];
  const sleeps: number[] = [];
  let noted = 0;
  let looks = 0;
  const say = (message: string) => void logged.push(message);
  const supervisor: EtcdSupervisor = new EtcdSupervisor({
    program: process.execPath,
    arguments: [new URL('support/fake-etcd.mjs', import.meta.url).pathname, directory],
    environment: {},
    trusted: () => [],
    hasData: () => existsSync(join(directory, 'wal/0.wal')),
    readiness: async () => {
      looks += 1;
      if (existsSync(join(directory, 'learner'))) return { state: 'learner' };
      return { state: existsSync(join(directory, 'ready')) ? 'ready' : 'not-ready' };
    },
    takesClients: async () => existsSync(join(directory, 'open')),
    onData: async () => {
      noted += 1;
    },
    onEnded: async (state, reason) => void ended.push({ state, reason }),
    onChange: () => states.push(supervisor.view.state),
    writeLog: (line) => void logged.push(line),
    log: { info: say, warn: say, error: say },
    timing: {
      ...realTiming,
      // Back-off runs 100 times as fast; polls are left alone.
      sleep: (ms, signal) => {
        if (ms >= 400 && ms !== 1_000) sleeps.push(ms);
        return realTiming.sleep(ms >= 400 ? ms / 100 : ms / 5, signal);
      },
      random: () => 0.5,
    },
  });
  cleanUp.push(async () => {
    await supervisor.stop(2_000);
    rmSync(directory, { recursive: true, force: true });
  });
  const starts = () => {
    const path = join(directory, 'starts');
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0;
  };
  supervisor.start();
  return {
    supervisor,
    directory,
    ended,
    states,
    logged,
    sleeps,
    starts,
    noted: () => noted,
    looks: () => looks,
  };
}

test('starts a killed etcd again at once, and never gives up on one that is killed again and again', async () => {
  const { supervisor, starts, sleeps } = supervise([]);
  for (let killed = 0; killed < 4; killed += 1) {
    await until('it is ready', () => supervisor.view.state === 'ready' && starts() === killed + 1);
    if (killed === 1) expect(sleeps).toEqual([]);
    process.kill(supervisor.view.pid!, 'SIGKILL');
    await until('it was started again', () => supervisor.view.restarts === killed + 1);
  }
  expect(supervisor.view.lastExit).toMatchObject({ code: null, signal: 'SIGKILL' });
});

test('gives up after three failures in a row that nothing explains, and never starts that disk again', async () => {
  const failing = { ready: false, code: 1 };
  const { supervisor, ended, starts } = supervise([failing, failing, failing, {}]);
  await until('it is over', () => supervisor.view.state === 'data-lost');
  expect(starts()).toBe(3);
  expect(ended).toEqual([{ state: 'data-lost', reason: 'etcd exited with code 1 before it was ready' }]);
});

test('takes signs of a damaged disk as lost data at the first start', async () => {
  const panic = [
    'panic: assertion failed: Page expected to be: 38, but self identifies as 119',
    'goroutine 1:',
  ];
  const { supervisor, ended, starts } = supervise([{ ready: false, code: 2, lines: panic }]);
  await until('it is over', () => supervisor.view.state === 'data-lost');
  expect(starts()).toBe(1);
  expect(ended[0]?.reason).toContain('the database file is damaged');
});

test('tries again for ever, slower and slower, when the machine is at fault', async () => {
  const line =
    '{"level":"fatal","msg":"discovery failed","error":"listen tcp: bind: address already in use"}';
  const failing = { ready: false, code: 1, lines: [line] };
  const { supervisor, ended, starts, sleeps, logged } = supervise([
    failing,
    failing,
    failing,
    failing,
    failing,
    {},
  ]);
  await until('it came up', () => supervisor.view.state === 'ready');
  expect(starts()).toBe(6);
  expect(ended).toEqual([]);
  expect(sleeps).toEqual([750, 1_500, 3_000, 6_000]);
  expect(logged.join('\n')).toContain('a port etcd needs is in use by another process');
});

test('does not call a member lost that never had data', async () => {
  const failing = { ready: false, wal: false, code: 1 };
  const { supervisor, ended } = supervise([failing, failing, failing, failing, {}]);
  await until('it came up', () => supervisor.view.state === 'ready');
  expect(ended).toEqual([]);
});

test('takes exit code 0 after a removal as the end', async () => {
  const line =
    '{"level":"warn","msg":"server error","error":"the member has been permanently removed from the cluster"}';
  const { supervisor, ended, starts } = supervise([{ afterMs: 300, code: 0, lines: [line] }, {}]);
  await until('it is over', () => supervisor.view.state === 'removed');
  expect(ended).toMatchObject([{ state: 'removed' }]);
  expect(starts()).toBe(1);
});

test('does not take the removal of another member for its own', async () => {
  const line = '{"level":"info","msg":"removed member","removed-remote-peer-id":"8211f1d0f64f3269"}';
  const { supervisor, ended, starts } = supervise([{ afterMs: 300, code: 0, lines: [line] }, {}]);
  await until('it runs again', () => starts() === 2 && supervisor.view.state === 'ready');
  expect(ended).toEqual([]);
});

test('never starts etcd on a disk that was emptied while it ran', async () => {
  const { supervisor, ended, directory, starts } = supervise([]);
  await until('it is ready', () => supervisor.view.state === 'ready');
  rmSync(join(directory, 'wal'), { recursive: true });
  process.kill(supervisor.view.pid!, 'SIGKILL');
  await until('it is over', () => supervisor.view.state === 'data-lost');
  expect(starts()).toBe(1);
  expect(ended[0]?.reason).toContain('emptied');
});

test('notes once that there is data, and merges the logs line by line', async () => {
  const { supervisor, logged, noted } = supervise([{ lines: ['{"level":"info","msg":"hi"}', 'not JSON'] }]);
  await until('it is ready', () => supervisor.view.state === 'ready');
  await until('the data was noted', () => noted() === 1);
  const lines = logged.filter((line) => line.endsWith('\n')).map((line) => JSON.parse(line));
  expect(lines).toContainEqual({ source: 'etcd', level: 'info', msg: 'hi' });
  expect(lines).toContainEqual({ source: 'etcd', level: 'raw', msg: 'not JSON' });
});

test('stops etcd when told to and does not start it again', async () => {
  const { supervisor, starts, states } = supervise([]);
  await until('it is ready', () => supervisor.view.state === 'ready');
  await Promise.all([supervisor.stop(5_000), supervisor.stop(5_000)]);
  expect(supervisor.view).toMatchObject({ state: 'stopped', restarts: 0 });
  expect(supervisor.view.pid).toBeUndefined();
  expect(starts()).toBe(1);
  expect(states.at(-1)).toBe('stopped');
});

test('a learner is told as what it is until it is promoted', async () => {
  const { supervisor, directory, states } = supervise([{ ready: false }]);
  writeFileSync(join(directory, 'learner'), '');
  await until('it is a learner', () => supervisor.view.state === 'learner');
  writeFileSync(join(directory, 'ready'), '');
  rmSync(join(directory, 'learner'));
  await until('it is ready', () => supervisor.view.state === 'ready');
  expect(states).not.toContain('not-ready');
});

describe('a learner that works', () => {
  test('is started again, once, when it takes no clients; nobody has to worry about that', async () => {
    const { supervisor, directory, starts, states } = supervise([{ ready: false }, { ready: false }]);
    writeFileSync(join(directory, 'learner'), '');
    await until('it was started again', () => starts() === 2);
    writeFileSync(join(directory, 'open'), '');
    rmSync(join(directory, 'learner'));
    writeFileSync(join(directory, 'ready'), '');
    await until('it is ready', () => supervisor.view.state === 'ready');
    expect(starts()).toBe(2);
    expect(supervisor.view).toMatchObject({ restarts: 0 });
    expect(supervisor.view.lastExit).toBeUndefined();
    expect(states).not.toContain('backing-off');
  });

  test('is left alone when it takes clients, and after it was started again', async () => {
    for (const open of [true, false]) {
      const { supervisor, directory, starts, looks } = supervise([{ ready: false }, { ready: false }]);
      if (open) writeFileSync(join(directory, 'open'), '');
      writeFileSync(join(directory, 'learner'), '');
      const expected = open ? 1 : 2;
      await until('it is a learner', () => supervisor.view.state === 'learner' && starts() === expected);
      const { pid } = supervisor.view;
      const before = looks();
      // Looks at a learner are 50 ms apart here: well beyond the patience of 400 ms.
      await until('it was looked at long enough', () => looks() > before + 15);
      expect(supervisor.view.pid).toBe(pid);
    }
  });
});

describe('a swap', () => {
  const swapped = (supervisor: EtcdSupervisor) => ({
    program: supervisor.command.program,
    arguments: [...supervisor.command.arguments, '--other'],
  });

  test('stops etcd and starts the other command, which is no restart to worry about', async () => {
    const { supervisor, starts, states } = supervise([]);
    await until('it is ready', () => supervisor.view.state === 'ready');
    const { pid } = supervisor.view;
    await supervisor.swap(swapped(supervisor), 5_000);
    expect(supervisor.view.pid).not.toBe(pid);
    await until('it is ready again', () => supervisor.view.state === 'ready' && starts() === 2);
    expect(supervisor.view).toMatchObject({ restarts: 0 });
    expect(supervisor.view.lastExit).toBeUndefined();
    expect(supervisor.command.arguments.at(-1)).toBe('--other');
    expect(states).not.toContain('backing-off');
    process.kill(supervisor.view.pid!, 'SIGKILL');
    await until('it was started again', () => supervisor.view.restarts === 1);
  });

  test('does not wait for the end of a back-off', async () => {
    const failing = { ready: false, code: 1, lines: ['panic: address already in use'] };
    const { supervisor } = supervise([...Array.from({ length: 40 }, () => failing)]);
    await until('it backs off', () => supervisor.view.restarts >= 6);
    await until('it backs off', () => supervisor.view.state === 'backing-off');
    await supervisor.swap(swapped(supervisor), 5_000);
    expect(supervisor.command.arguments.at(-1)).toBe('--other');
  });

  test('is refused when this disk has ended', async () => {
    const line = '{"msg":"the member has been permanently removed from the cluster"}';
    const { supervisor } = supervise([{ afterMs: 100, code: 0, lines: [line] }]);
    await until('it is over', () => supervisor.view.state === 'removed');
    await expect(supervisor.swap(swapped(supervisor), 100)).rejects.toMatchObject({ code: 'etcd-ended' });
  });
});

test('says that the program is missing and keeps trying', async () => {
  const logged: string[] = [];
  const say = (message: string) => void logged.push(message);
  const supervisor = new EtcdSupervisor({
    program: '/nowhere/etcd',
    arguments: [],
    environment: {},
    trusted: () => [],
    hasData: () => true,
    readiness: async () => ({ state: 'not-ready' }),
    takesClients: async () => false,
    onData: async () => undefined,
    onEnded: async () => undefined,
    onChange: () => undefined,
    writeLog: () => undefined,
    log: { info: say, warn: say, error: say },
    timing: realTiming,
  });
  supervisor.start();
  await until('it failed', () => supervisor.view.state === 'backing-off');
  await supervisor.stop(100);
  expect(logged.join('\n')).toContain('the program is missing or cannot be run');
});
