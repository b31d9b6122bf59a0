import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolveAny, resolveDefault } from '../../../node-image/binaries/any.ts';
import { availableVersions, offeredVersions } from '../../../node-image/binaries/available.ts';
import { createStage, publish } from '../../../node-image/binaries/cache.ts';
import { EtcdUnavailableError } from '../../../node-image/binaries/failure.ts';
import { type ResolveOptions, resolveEtcd } from '../../../node-image/binaries/resolve.ts';
import { SourceFailure } from '../../../node-image/binaries/source.ts';
import { defaultVersion } from '../../../node-image/binaries/versions.ts';
import { fakeMachine, fakeSource, putBinaries, putFile, temporaryFolder } from './fake-machine.ts';

const giving = (name: 'release' | 'go' | 'debian' | 'path') =>
  fakeSource(name, (version, stage) => putBinaries(stage, version));
const failing = (name: 'release' | 'go' | 'debian' | 'path', reason: string, advice?: string) =>
  fakeSource(name, async () => {
    throw new SourceFailure(reason, advice);
  });

describe('the order of sources', () => {
  test('an explicit directory wins over the cache, and nothing is written to it', async () => {
    const [directory, cacheDir] = [await temporaryFolder(), await temporaryFolder()];
    await putBinaries(join(directory, '3.6.16'), '3.6.16');
    await putBinaries(join(cacheDir, '3.6.16'), '3.6.16');
    const found = await resolveEtcd('3.6.16', { machine: fakeMachine(), directory, cacheDir, sources: [] });
    expect(found).toMatchObject({ source: 'directory', root: directory, dir: join(directory, '3.6.16') });
    expect(await readdir(join(directory, '3.6.16'))).toEqual(['etcd', 'etcdctl', 'etcdutl']);
  });

  test('the cache wins over every source that would have to fetch', async () => {
    const cacheDir = await temporaryFolder();
    await putBinaries(join(cacheDir, '3.6.16'), '3.6.16');
    const source = giving('release');
    const found = await resolveEtcd('3.6.16', { machine: fakeMachine(), cacheDir, sources: [source] });
    expect(found.source).toBe('cache');
    expect(source.asked).toEqual([]);
  });

  test('the first source that gives it ends the search, and the next call finds it in the cache', async () => {
    const cacheDir = await temporaryFolder();
    const sources = [failing('path', 'not there'), giving('go'), giving('debian')];
    const options = { machine: fakeMachine(), cacheDir, sources };
    const first = await resolveEtcd('3.6.16', options);
    const second = await resolveEtcd('3.6.16', options);
    expect(first).toMatchObject({ source: 'go', etcd: join(cacheDir, '3.6.16', 'etcd') });
    expect(second).toMatchObject({ source: 'cache', origin: 'go', dir: first.dir });
    expect(sources.map((source) => source.asked.length)).toEqual([1, 1, 0]);
  });
});

describe('what a source gives', () => {
  test('is not published when it is another version than it should be', async () => {
    const cacheDir = await temporaryFolder();
    const liar = fakeSource('release', (_, stage) => putBinaries(stage, '3.5.0'));
    const options = { machine: fakeMachine(), cacheDir, sources: [liar] };
    await expect(resolveEtcd('3.6.16', options)).rejects.toThrow(/is 3\.5\.0, not 3\.6\.16/);
    expect(await readdir(cacheDir)).toEqual([]);
  });

  test('is not published when a binary is missing or does not run', async () => {
    const cacheDir = await temporaryFolder();
    const partial = fakeSource('go', (version, stage) => putFile(join(stage, 'etcd'), `etcd ${version}`));
    const broken = fakeSource('debian', (_, stage) => putFile(join(stage, 'etcd'), 'garbage'));
    const options = { machine: fakeMachine(), cacheDir, sources: [partial, broken] };
    const error = await resolveEtcd('3.6.16', options).catch((thrown: unknown) => thrown);
    expect(String(error)).toMatch(/etcdctl is missing/);
    expect(String(error)).toMatch(/does not run here/);
    expect(await readdir(cacheDir)).toEqual([]);
  });

  test('replaces a cached version that does not work', async () => {
    const cacheDir = await temporaryFolder();
    await putFile(join(cacheDir, '3.6.16', 'etcd'), 'cut short');
    const found = await resolveEtcd('3.6.16', { machine: fakeMachine(), cacheDir, sources: [giving('go')] });
    expect(found.source).toBe('go');
    expect(await readdir(cacheDir)).toEqual(['3.6.16']);
  });
});

describe('several at once', () => {
  test('do the work once and all get it', async () => {
    const cacheDir = await temporaryFolder();
    const source = giving('go');
    const options = { machine: fakeMachine(), cacheDir, sources: [source] };
    const found = await Promise.all([1, 2, 3].map(() => resolveEtcd('3.6.16', options)));
    expect(source.asked).toEqual(['3.6.16']);
    expect(new Set(found.map((one) => one.dir)).size).toBe(1);
    expect(await readdir(cacheDir)).toEqual(['3.6.16']);
  });

  test('publishing the same version without a lock leaves one working folder', async () => {
    const cacheDir = await temporaryFolder();
    const machine = fakeMachine();
    const stages = await Promise.all([1, 2, 3, 4].map(() => createStage(cacheDir, '3.6.16')));
    await Promise.all(stages.map((stage) => putBinaries(stage, '3.6.16')));
    await Promise.all(stages.map((stage) => publish(stage, cacheDir, '3.6.16', 'go', machine)));
    expect(await readdir(cacheDir)).toEqual(['3.6.16']);
  });

  test('a lock and a stage that a dead process left behind stop nobody', async () => {
    const cacheDir = await temporaryFolder();
    const { hostname } = await import('node:os');
    // The highest possible pid on Linux is 2^22: this one never lives.
    await putFile(join(cacheDir, '.lock-3.6.16'), `${2 ** 22 + 1} ${hostname()}\n`);
    await putFile(join(cacheDir, '.stage-3.6.16-dead', 'etcd'), 'half');
    const found = await resolveEtcd('3.6.16', { machine: fakeMachine(), cacheDir, sources: [giving('go')] });
    expect(found.source).toBe('go');
    expect(await readdir(cacheDir)).toEqual(['3.6.16']);
  });
});

describe('when nothing works', () => {
  test('one message names every source with its reason and what to do', async () => {
    const cacheDir = await temporaryFolder();
    const sources = [
      failing('path', 'no etcd on PATH'),
      failing('release', 'the site is away', 'set a proxy'),
      failing('go', 'no go', 'install go'),
      failing('debian', 'no dpkg'),
    ];
    const options: ResolveOptions = { machine: fakeMachine(), cacheDir, directory: '/none', sources };
    const error = await resolveEtcd('3.6.16', options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EtcdUnavailableError);
    const { message } = error as Error;
    for (const part of [
      'directory',
      'cache',
      'no etcd on PATH',
      'the site is away',
      'set a proxy',
      'no go',
    ]) {
      expect(message).toContain(part);
    }
    expect(message).toContain('install go');
    expect(message).toContain('no dpkg');
  });

  test('a fault nobody foresaw in one source is a reason like any other', async () => {
    const cacheDir = await temporaryFolder();
    const crashing = fakeSource('release', async () => {
      throw new Error('ENOSPC: no space left on device');
    });
    const options = { machine: fakeMachine(), cacheDir, sources: [crashing, giving('go')] };
    expect((await resolveEtcd('3.6.16', options)).source).toBe('go');
  });

  test.each(['3.6', 'latest', '../3.6.16', ''])(
    '"%s" is refused before anything is tried',
    async (version) => {
      const source = giving('go');
      const options = { machine: fakeMachine(), cacheDir: await temporaryFolder(), sources: [source] };
      await expect(resolveEtcd(version, options)).rejects.toThrow(/exact version/);
      expect(source.asked).toEqual([]);
    },
  );

  test('a folder that cannot be made is said in one sentence', async () => {
    const folder = await temporaryFolder();
    await putFile(join(folder, 'file'), '');
    const options = { machine: fakeMachine(), cacheDir: join(folder, 'file', 'cache'), sources: [] };
    await expect(resolveEtcd('3.6.16', options)).rejects.toThrow(/give another cache directory/);
  });

  test('a machine etcd is not built for is told so', async () => {
    const machine = fakeMachine({ os: 'win32' });
    const options = { machine, cacheDir: await temporaryFolder(), sources: [giving('go')] };
    await expect(resolveEtcd('3.6.16', options)).rejects.toThrow(/not built for win32/);
  });
});

describe('the best that can be had', () => {
  test('is the default where it can be had', async () => {
    const options = { machine: fakeMachine(), cacheDir: await temporaryFolder(), sources: [giving('go')] };
    expect((await resolveDefault(options)).version).toBe(defaultVersion);
  });

  test('is a deprecated one rather than none, and the reason why is said once', async () => {
    const lines: string[] = [];
    const old = fakeSource('debian', async (version, stage) => {
      if (version !== '3.5.30') throw new SourceFailure('no package of it');
      await putBinaries(stage, version);
    });
    const options = {
      machine: fakeMachine(),
      cacheDir: await temporaryFolder(),
      sources: [old],
      onProgress: (line: string) => lines.push(line),
    };
    expect((await resolveDefault(options)).version).toBe('3.5.30');
    expect(lines.filter((line) => line.includes('no package of it'))).toHaveLength(1);
    expect(lines.at(-1)).toMatch(/using etcd 3\.5\.30: 3\.6\.16.* cannot be had here/);
  });

  test('is never a refused one', async () => {
    const old = fakeSource('debian', async (version, stage) => {
      if (version !== '3.4.23') throw new SourceFailure('no package of it');
      await putBinaries(stage, version);
    });
    const options = { machine: fakeMachine(), cacheDir: await temporaryFolder(), sources: [old] };
    await expect(resolveDefault(options)).rejects.toThrow(/none of etcd 3\.6\.16, .* can be had/);
    expect((await resolveEtcd('3.4.23', options)).version).toBe('3.4.23');
  });

  test('is taken from the minors that are asked for', async () => {
    const options = { machine: fakeMachine(), cacheDir: await temporaryFolder(), sources: [giving('go')] };
    expect((await resolveAny({ ...options, minors: ['3.5'] })).version).toBe('3.5.35');
    await expect(resolveAny({ ...options, minors: ['2.3'] })).rejects.toThrow(/no etcd version is known/);
  });
});

describe('what can be had here', () => {
  test('is told for each version without obtaining it', async () => {
    const cacheDir = await temporaryFolder();
    await putBinaries(join(cacheDir, '3.5.35'), '3.5.35');
    const source = giving('go');
    source.probe = async (version) => {
      if (version !== '3.6.16') throw new SourceFailure('not pinned');
    };
    const all = await availableVersions({ machine: fakeMachine(), cacheDir, sources: [source] });
    const ready = all.filter((entry) => entry.sources.length > 0);
    expect(ready.map((entry) => [entry.version, entry.sources])).toEqual([
      ['3.6.16', ['go']],
      ['3.5.35', ['cache']],
    ]);
    expect(source.asked).toEqual([]);
    expect(offeredVersions(all)).toEqual({ default: '3.6.16', offered: ['3.5.35', '3.6.16'] });
  });

  test('offers deprecated versions only when there is no supported one, refused ones never', async () => {
    const cacheDir = await temporaryFolder();
    const options = { machine: fakeMachine(), cacheDir, sources: [] };
    const offered = async (...cached: string[]) => {
      for (const version of cached) await putBinaries(join(cacheDir, version), version);
      return offeredVersions(await availableVersions(options));
    };
    expect(await offered('3.4.23')).toBeUndefined();
    expect(await offered('3.5.16', '3.5.30')).toEqual({ default: '3.5.30', offered: ['3.5.16', '3.5.30'] });
    expect(await offered('3.6.14')).toEqual({ default: '3.6.14', offered: ['3.6.14'] });
  });
});
