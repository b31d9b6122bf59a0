import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { bundleNanny } from '../../../node-image/bundle.ts';
import { FakeControlPlane } from './support/fake-control-plane.ts';
import { NannyProcess } from './support/nanny-process.ts';
import { until } from './support/until.ts';

const dir = mkdtempSync(join(tmpdir(), 'nanny-main-'));
const bundle = join(dir, 'nanny.mjs');
const controlPlane = new FakeControlPlane({
  ip: '127.75.4.250',
  port: 4754,
  tenantId: 'acme',
  members: { maaaaaaa1: '127.75.4.1' },
  version: '3.6.16',
});
const environment = () => controlPlane.environment('maaaaaaa1', join(dir, 'data'), join(dir, 'no-etcd'));

beforeAll(async () => {
  await bundleNanny(bundle);
  await controlPlane.start();
});
afterAll(async () => {
  await controlPlane.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Every line of the nanny is JSON; a stack trace would not be. */
const said = (nanny: NannyProcess) =>
  nanny.lines.map((line) => (JSON.parse(line) as { msg: string }).msg).join('\n');

test('is one file below 500 kB', () => {
  expect(statSync(bundle).size).toBeLessThan(500_000);
});

test('a wrong environment ends with code 2 and a sentence', async () => {
  const nanny = new NannyProcess(bundle, {});
  expect(await nanny.exited).toEqual({ code: 2, signal: null });
  expect(said(nanny)).toContain('NANNY_TENANT is not set');
  expect(nanny.lines).toHaveLength(1);
});

test('does not load what only a member that runs needs before it asks whether it may be one', async () => {
  const spy = join(dir, 'loaded.cjs');
  writeFileSync(
    spy,
    `process.on('exit', () => console.log(JSON.stringify({ msg: process.moduleLoadList.join(' ') })));`,
  );
  const loaded = async (env: Record<string, string>) => {
    const nanny = new NannyProcess(bundle, { ...env, NODE_OPTIONS: `--require ${spy}` });
    await nanny.exited;
    return said(nanny);
  };
  const before = await loaded({});
  for (const name of ['https', 'crypto']) expect(before).toContain(`NativeModule ${name} `);
  for (const name of ['http2', 'child_process', 'zlib']) expect(before).not.toContain(`NativeModule ${name}`);
  // It has been told to boot: only then is there something to run.
  expect(await loaded(environment())).toContain('NativeModule http2');
});

test('an image without the wanted etcd version ends with code 1 and a sentence', async () => {
  const nanny = new NannyProcess(bundle, environment());
  expect(await nanny.exited).toEqual({ code: 1, signal: null });
  expect(said(nanny)).toContain('This node image carries no etcd 3.6.16');
});

test('a member that is not wanted ends with code 0', async () => {
  controlPlane.answerJoin = async () => ({ answer: 'leave', reason: 'the tenant is being deleted' });
  const nanny = new NannyProcess(bundle, environment());
  expect(await nanny.exited).toEqual({ code: 0, signal: null });
  expect(said(nanny)).toContain('Leaving: the tenant is being deleted');
});

test('a nanny that leaves at once ends the etcd that an earlier one has left on its disk', async () => {
  controlPlane.answerJoin = async () => ({ answer: 'leave', reason: 'the tenant is being deleted' });
  const dataDir = join(dir, 'data/maaaaaaa1/etcd');
  const orphan = spawn(
    process.execPath,
    ['-e', 'setInterval(() => {}, 1e3)', '--', `--data-dir=${dataDir}`],
    {
      argv0: '/opt/etcd',
      stdio: 'ignore',
    },
  );
  onTestFinished(() => void orphan.kill('SIGKILL'));
  const ended = new Promise((resolve) => orphan.on('exit', (_code, signal) => resolve(signal)));
  const nanny = new NannyProcess(bundle, environment());
  expect(await nanny.exited).toEqual({ code: 0, signal: null });
  expect(await ended).toBe('SIGKILL');
});

test('a disk with data but damaged certificates asks for new ones', async () => {
  const root = join(dir, 'data/maaaaaaa1');
  mkdirSync(join(root, 'etcd/member/wal'), { recursive: true });
  writeFileSync(join(root, 'etcd/member/wal/0-0.wal'), '');
  mkdirSync(join(root, 'pki-bad'));
  rmSync(join(root, 'pki'), { force: true });
  symlinkSync('pki-bad', join(root, 'pki'));
  controlPlane.answerJoin = async ({ hasData }) => ({ answer: 'leave', reason: `hasData ${hasData}` });
  const nanny = new NannyProcess(bundle, environment());
  expect(await nanny.exited).toEqual({ code: 0, signal: null });
  expect(said(nanny)).toContain('certificates on the disk cannot be used');
  expect(said(nanny)).toContain('Leaving: hasData true');
  rmSync(root, { recursive: true });
});

test('SIGTERM while it waits for its turn ends with code 0 at once', async () => {
  controlPlane.answerJoin = async () => ({ answer: 'wait', reason: 'two missing', retryAfterMs: 60_000 });
  const nanny = new NannyProcess(bundle, environment());
  await until('it waits', () => said(nanny).includes('wait: two missing'));
  nanny.signal('SIGTERM');
  expect(await nanny.exited).toEqual({ code: 0, signal: null });
});
