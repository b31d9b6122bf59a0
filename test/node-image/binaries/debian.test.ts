import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type ResolveOptions, resolveEtcd } from '../../../node-image/binaries/resolve.ts';
import { debianSource } from '../../../node-image/binaries/sources/debian.ts';
import { type FakeCommand, fakeMachine, putFile, sha256, temporaryFolder } from './fake-machine.ts';

const mirror = 'http://mirror.example/debian';
const goodSignature: FakeCommand = async (args) => {
  await copyFile(args.at(-1)!, args[args.indexOf('--output') + 1]!);
  return { code: 2, stdout: Buffer.from('[GNUPG:] NO_PUBKEY 1\n[GNUPG:] VALIDSIG 2\n') };
};
const dpkgDeb: FakeCommand = async (args) => {
  const [, file, root] = args;
  const version = /_(\d+\.\d+\.\d+)/.exec(file!)![1]!;
  const names = file!.includes('etcd-server') ? ['etcd'] : ['etcdctl', 'etcdutl'];
  for (const name of names) await putFile(join(root!, 'usr/bin', name), `${name} ${version}`);
  return {};
};

/** A mirror where sid has 3.5.30 and trixie 3.5.16. */
function web(change: (files: Record<string, Buffer | string>) => void = () => {}) {
  const files: Record<string, Buffer | string> = {};
  for (const [suite, version] of Object.entries({ sid: '3.5.30-2', trixie: '3.5.16-4' })) {
    const stanzas = ['etcd-server', 'etcd-client'].map((name) => {
      const filename = `pool/main/e/etcd/${name}_${version}_amd64.deb`;
      files[`${mirror}/${filename}`] = `${name} ${version}`;
      return `Package: ${name}\nVersion: ${version}\nFilename: ${filename}\nSHA256: ${sha256(`${name} ${version}`)}\n`;
    });
    const index = gzipSync(stanzas.join('\n'));
    files[`${mirror}/dists/${suite}/main/binary-amd64/Packages.gz`] = index;
    files[`${mirror}/dists/${suite}/InRelease`] =
      `SHA256:\n ${sha256(index)} ${index.length} main/binary-amd64/Packages.gz\n`;
  }
  change(files);
  return files;
}

async function setup(more: {
  web?: Record<string, Buffer | string>;
  commands?: Record<string, FakeCommand>;
  sources?: string;
}): Promise<ResolveOptions & { machine: ReturnType<typeof fakeMachine>; lines: string[] }> {
  const root = await temporaryFolder();
  await putFile(join(root, 'etc/os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
  await putFile(
    join(root, 'etc/apt/sources.list'),
    more.sources ??
      `deb http://security.example/debian bookworm-security main\ndeb ${mirror} bookworm main\n`,
  );
  await putFile(join(root, 'etc/apt/trusted.gpg.d/debian-archive.gpg'), 'key');
  const lines: string[] = [];
  const commands = more.commands ?? { 'dpkg-deb': dpkgDeb, gpgv: goodSignature };
  return {
    machine: fakeMachine({ root, commands, web: more.web ?? web() }),
    cacheDir: await temporaryFolder(),
    sources: [debianSource],
    onProgress: (line) => lines.push(line),
    lines,
  };
}

test('takes the version from whichever suite of the own mirror carries it', async () => {
  const options = await setup({});
  for (const version of ['3.5.30', '3.5.16']) {
    const found = await resolveEtcd(version, options);
    expect(found.source).toBe('debian');
    expect((await readdir(found.dir)).sort()).toEqual(['etcd', 'etcdctl', 'etcdutl', 'source.json']);
  }
  expect(options.machine.requests.every((request) => request.startsWith(`GET ${mirror}/`))).toBe(true);
});

test('fetches an index again only when it has changed', async () => {
  const options = await setup({});
  await resolveEtcd('3.5.30', options);
  await resolveEtcd('3.5.16', options);
  const indexes = options.machine.requests.filter((request) =>
    request.endsWith('sid/main/binary-amd64/Packages.gz'),
  );
  expect(indexes).toHaveLength(1);
});

test('refuses a package whose hash is not that of the index', async () => {
  const tampered = web((files) => {
    files[`${mirror}/pool/main/e/etcd/etcd-server_3.5.30-2_amd64.deb`] = 'something else';
  });
  await expect(resolveEtcd('3.5.30', await setup({ web: tampered }))).rejects.toThrow(
    new RegExp(`${sha256('something else')}, but the index says`),
  );
});

test('refuses an index whose hash is not that of the signed release', async () => {
  const tampered = web((files) => {
    files[`${mirror}/dists/sid/main/binary-amd64/Packages.gz`] = gzipSync('Package: etcd-server\n');
  });
  await expect(resolveEtcd('3.5.30', await setup({ web: tampered }))).rejects.toThrow(
    /but its InRelease says/,
  );
});

test.each([
  ['bad', '[GNUPG:] VALIDSIG 1\n[GNUPG:] BADSIG 2\n'],
  ['by an unknown key', '[GNUPG:] NO_PUBKEY 2\n'],
])('refuses a release whose signature is %s', async (_, status) => {
  const gpgv: FakeCommand = async () => ({ code: 1, stdout: Buffer.from(status) });
  const options = await setup({ commands: { 'dpkg-deb': dpkgDeb, gpgv } });
  await expect(resolveEtcd('3.5.30', options)).rejects.toThrow(
    /sid is not signed by a key this machine trusts/,
  );
});

test('without gpgv goes on and says that the index is not authenticated', async () => {
  const options = await setup({ commands: { 'dpkg-deb': dpkgDeb } });
  await resolveEtcd('3.5.30', options);
  expect(options.lines.join('\n')).toMatch(/the index of sid is NOT authenticated: gpgv is not installed/);
});

test('names the versions that the suites do carry, and the suites that could not be read', async () => {
  await expect(resolveEtcd('3.6.16', await setup({}))).rejects.toThrow(
    /the suites trixie, sid carry 3\.5\.16, 3\.5\.30; bookworm: .* answered 404/,
  );
});

test.each([
  ['no dpkg-deb', { commands: {} }, /not a Debian or Ubuntu machine/],
  [
    'no mirror',
    { sources: 'deb cdrom:[Debian] bookworm main\n' },
    /no http mirror in the configuration of apt/,
  ],
])('with %s says so', async (_, more, reason) => {
  await expect(resolveEtcd('3.5.30', await setup(more))).rejects.toThrow(reason);
});

test('a password in the address of the mirror is sent, not shown', async () => {
  const sources = `deb ${mirror.replace('//', '//me:secret@')} bookworm main\n`;
  const options = await setup({ sources });
  expect((await resolveEtcd('3.5.30', options)).source).toBe('debian');
  const error = String(await resolveEtcd('3.6.16', options).catch((thrown: unknown) => thrown));
  expect(error).toContain('answered 404');
  expect(error + options.lines.join('\n')).not.toContain('secret');
});

test('two runs at once do not disturb each other', async () => {
  const options = await setup({});
  await Promise.all([resolveEtcd('3.5.30', options), resolveEtcd('3.5.16', options)]);
  expect((await readdir(options.cacheDir!)).sort()).toEqual(['.index', '3.5.16', '3.5.30']);
});
