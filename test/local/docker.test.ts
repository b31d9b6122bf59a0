import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findDockerMachine, versionsLabel } from '../../local/docker.ts';
import type { Engine } from '../../local/services/ecs/docker/engine.ts';
import { keepRuntime } from '../../local/task-machine.ts';

type Asked = Pick<Engine, 'version' | 'image'>;
const engine = (more: Partial<Asked> = {}) =>
  ({
    version: async () => '20.10',
    image: async () => ({ labels: { [versionsLabel]: '3.6.16 3.5.35' } }),
    ...more,
  }) as Engine;

describe('the runtime "docker" says what it lacks and what to do', () => {
  test.each<[string, Engine, number, string, RegExp]>([
    ['Linux', engine(), 0, 'darwin', /needs Linux.*Linux virtual machine/],
    ['root', engine(), 1000, 'linux', /needs root.*sudo/],
    [
      'an engine',
      engine({ version: () => Promise.reject(new Error('connect ENOENT')) }),
      0,
      'linux',
      /connect ENOENT.*docker\.io/,
    ],
    ['the image', engine({ image: async () => undefined }), 0, 'linux', /no image.*npm run image/],
    ['an image that says what it has', engine({ image: async () => ({ labels: {} }) }), 0, 'linux', /again/],
  ])('%s', async (_what, of, uid, platform, said) => {
    await expect(findDockerMachine(of, uid, platform)).rejects.toThrow(said);
  });

  test('and else offers the versions that the image has', async () => {
    expect(await findDockerMachine(engine(), 0, 'linux')).toMatchObject({ versions: ['3.6.16', '3.5.35'] });
  });
});

describe('a state folder belongs to one runtime', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'nanny-runtime-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('the other one is refused, with both ways out', () => {
    keepRuntime(folder, 'docker');
    keepRuntime(folder, 'docker');
    expect(() => keepRuntime(folder, 'process')).toThrow(/--runtime docker.*another --state/);
  });

  test('one of before there was a choice has processes', () => {
    mkdirSync(path.join(folder, 'ecs'));
    expect(() => keepRuntime(folder, 'docker')).toThrow(/belongs to the runtime "process"/);
    writeFileSync(path.join(folder, 'unrelated'), '');
    keepRuntime(folder, 'process');
  });
});
