import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startLocalCloud } from '../../local/cloud.ts';
import {
  administratorKey,
  LocalCloudError,
  lockState,
  processStart,
  readCloudFile,
  runningCloud,
  writeCloudFile,
} from '../../local/state.ts';
import { startSmallCloud } from './support/small-cloud.ts';

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'local-state-'));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

it('only one cloud works on a state; the refusal says what to do', () => {
  const unlock = lockState(state);
  expect(() => lockState(state)).toThrow(/already works on .*nanny local stop.*--state/);
  unlock();
  lockState(state)();
});

it('takes over the lock of a cloud that is dead, also when its pid lives on as another process', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  try {
    const start = processStart(child.pid!);
    expect(start).toBeDefined();
    writeFileSync(join(state, 'lock'), JSON.stringify({ pid: child.pid, processStart: start }));
    expect(() => lockState(state)).toThrow(LocalCloudError);
    writeFileSync(join(state, 'lock'), JSON.stringify({ pid: child.pid, processStart: `${start}0` }));
    lockState(state)();
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
  writeFileSync(join(state, 'lock'), 'half a li');
  lockState(state)();
});

it('keeps the administrator’s key over restarts, readable by its owner only', () => {
  const key = administratorKey(undefined);
  writeCloudFile(state, {
    url: 'http://127.0.0.1:1',
    apiUrl: 'http://127.0.0.1:1/_api/x',
    port: 1,
    region: 'us-east-1',
    accountId: '0',
    ...key,
  });
  expect(administratorKey(readCloudFile(state))).toEqual(key);
  expect(statSync(join(state, 'cloud.json')).mode & 0o777).toBe(0o600);
  expect(runningCloud(state)).toBeUndefined();
  writeFileSync(join(state, 'cloud.json'), '{');
  expect(() => readCloudFile(state)).toThrow(/cannot be read .*: remove it/);
});

it('a taken port is refused with a sentence, before anything is built, and the state is free again', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const options = { port, stateDir: state, repoDir: state };
  await expect(startLocalCloud(options)).rejects.toThrow(
    `Port ${port} of 127.0.0.1 is taken, perhaps by another local cloud: choose another one with --port.`,
  );
  server.close();
  expect(existsSync(join(state, 'lock'))).toBe(false);
});

it('says in cloud.json where it runs, and after its stop that it does not', async () => {
  const { cloud, stateDir, stop } = await startSmallCloud(4726, {}, {});
  expect(runningCloud(stateDir)).toMatchObject({ url: cloud.url, pid: process.pid, ...cloud.credentials });
  await fetch(`${cloud.url}/_local/stop`, { method: 'POST' });
  await cloud.stopped;
  expect(runningCloud(stateDir)).toBeUndefined();
  await expect(fetch(`${cloud.url}/_local/status`)).rejects.toThrow();
  await stop();
});
