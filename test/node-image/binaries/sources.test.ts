import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ResolveOptions, resolveEtcd } from '../../../node-image/binaries/resolve.ts';
import { goSource } from '../../../node-image/binaries/sources/go.ts';
import { pathSource } from '../../../node-image/binaries/sources/path.ts';
import { createReleaseSource, releaseSource } from '../../../node-image/binaries/sources/release.ts';
import { etcdVersions } from '../../../node-image/binaries/versions.ts';
import {
  type FakeCommand,
  fakeMachine,
  putBinaries,
  putFile,
  sha256,
  temporaryFolder,
} from './fake-machine.ts';

const releases = 'https://github.com/etcd-io/etcd/releases/download';

describe('the official release', () => {
  const archiveUrl = (version: string) => `${releases}/v${version}/etcd-v${version}-linux-amd64.tar.gz`;
  const tar: FakeCommand = async (args) => {
    const [version] = /\d+\.\d+\.\d+/.exec(args[1]!)!;
    await putBinaries(join(args[3]!, `etcd-v${version}-linux-amd64`), version!);
    return {};
  };
  const options = async (version: string, more: Partial<ResolveOptions> = {}): Promise<ResolveOptions> => ({
    machine: fakeMachine({
      web: { [`${releases}/`]: '', [archiveUrl(version)]: 'archive' },
      commands: { tar },
    }),
    cacheDir: await temporaryFolder(),
    sources: [releaseSource],
    ...more,
  });

  test('is used when its hash is the pinned one', async () => {
    const versions = structuredClone(etcdVersions);
    versions.versions['3.6.14']!.archives['linux-amd64'] = sha256('archive');
    const found = await resolveEtcd(
      '3.6.14',
      await options('3.6.14', { sources: [createReleaseSource(versions)] }),
    );
    expect(found.source).toBe('release');
    expect((await readdir(found.dir)).sort()).toEqual(['etcd', 'etcdctl', 'etcdutl', 'source.json']);
  });

  test('is refused when its hash is another, and the message has both', async () => {
    const setup = await options('3.6.14', { allowUnpinned: true });
    const error = String(await resolveEtcd('3.6.14', setup).catch((thrown: unknown) => thrown));
    expect(error).toContain(sha256('archive'));
    expect(error).toContain(etcdVersions.versions['3.6.14']!.archives['linux-amd64']);
    expect(await readdir(setup.cacheDir!)).toEqual([]);
  });

  test('is not even asked for when no hash is pinned', async () => {
    const machine = fakeMachine({ web: {} });
    await expect(resolveEtcd('3.6.16', await options('3.6.16', { machine }))).rejects.toThrow(
      /no SHA-256 is pinned.*--allow-unpinned/s,
    );
    expect(machine.requests).toEqual([]);
  });

  test('is used without a pinned hash only when the user says so, and the hash is shown', async () => {
    const lines: string[] = [];
    const setup = await options('3.6.16', { allowUnpinned: true, onProgress: (line) => lines.push(line) });
    expect((await resolveEtcd('3.6.16', setup)).source).toBe('release');
    expect(lines.join('\n')).toContain(sha256('archive'));
  });

  test('without a network says so, with the reason below "fetch failed"', async () => {
    const machine = fakeMachine();
    await expect(resolveEtcd('3.6.14', await options('3.6.14', { machine }))).rejects.toThrow(
      /github\.com cannot be reached: no network/,
    );
  });
});

describe('PATH', () => {
  const machineWith = async (version: string, names = ['etcd', 'etcdctl', 'etcdutl']) => {
    const bin = await temporaryFolder();
    await putBinaries(bin, version);
    const machine = fakeMachine();
    return {
      ...machine,
      which: async (name: string) => (names.includes(name) ? join(bin, name) : undefined),
    };
  };

  test('is copied into the cache, so that an upgrade of the system changes nothing', async () => {
    const machine = await machineWith('3.6.16');
    const found = await resolveEtcd('3.6.16', {
      machine,
      cacheDir: await temporaryFolder(),
      sources: [pathSource],
    });
    expect(found.source).toBe('path');
    expect(await readFile(found.etcdutl, 'utf8')).toBe('etcdutl 3.6.16');
  });

  test.each([
    ['3.5.35', undefined, /the etcd on PATH is 3\.5\.35/],
    ['3.6.16', ['etcd', 'etcdctl'], /but not etcdutl/],
    ['3.6.16', [], /no etcd on PATH/],
  ])('with etcd %s and commands %s is not used', async (version, names, reason) => {
    const machine = await machineWith(version, names);
    const options = { machine, cacheDir: await temporaryFolder(), sources: [pathSource] };
    await expect(resolveEtcd('3.6.16', options)).rejects.toThrow(reason);
  });
});

describe('the Go build', () => {
  const building: FakeCommand = async (args, { env }) => {
    if (args[0] === 'env') return { stdout: Buffer.from('go1.26.8\n') };
    expect(env).toMatchObject({ CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' });
    expect(args).toContain('-mod=readonly');
    const out = args[args.indexOf('-o') + 1]!;
    for (const [file, name] of Object.entries({ server: 'etcd', etcdctl: 'etcdctl', etcdutl: 'etcdutl' })) {
      await putFile(join(out, file), `${name} 3.6.16`);
    }
    return {};
  };
  const options = async (go: FakeCommand | undefined): Promise<ResolveOptions> => ({
    machine: fakeMachine({ commands: go ? { go } : {} }),
    cacheDir: await temporaryFolder(),
    sources: [goSource],
  });

  test('builds from pinned modules, whatever the flags of the user are', async () => {
    const found = await resolveEtcd('3.6.16', await options(building));
    expect((await readdir(found.dir)).sort()).toEqual(['etcd', 'etcdctl', 'etcdutl', 'source.json']);
  });

  test('says what go said, without the lists of modules and packages', async () => {
    const go: FakeCommand = async () => ({
      code: 1,
      stderr:
        'go: downloading example.org/x v1.0.0\ncrypto/tls\nverifying example.org/x@v1.0.0: checksum mismatch\n',
    });
    const error = String(await resolveEtcd('3.6.16', await options(go)).catch((thrown: unknown) => thrown));
    expect(error).toContain('go said: verifying example.org/x@v1.0.0: checksum mismatch');
    expect(error).not.toContain('downloading');
    expect(error).not.toContain('crypto/tls');
  });

  test('says which Go is needed when this one is too old', async () => {
    const go: FakeCommand = async () => ({
      code: 1,
      stderr: 'go: go.mod requires go >= 1.26.0 (running go 1.22.2; GOTOOLCHAIN=local)\n',
    });
    await expect(resolveEtcd('3.6.16', await options(go))).rejects.toThrow(/install Go 1\.26\.0 or later/);
  });

  test('is not tried without go, nor for a version without pinned modules', async () => {
    await expect(resolveEtcd('3.6.16', await options(undefined))).rejects.toThrow(/no go on PATH/);
    await expect(resolveEtcd('3.6.1', await options(building))).rejects.toThrow(/no pinned modules/);
  });
});
