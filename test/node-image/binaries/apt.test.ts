import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  parseDeb822Sources,
  parseOneLine,
  readAptArchives,
} from '../../../node-image/binaries/apt/config.ts';
import { parsePackages, upstreamVersion } from '../../../node-image/binaries/apt/packages.ts';
import { parseHashes } from '../../../node-image/binaries/apt/release.ts';
import { putFile, temporaryFolder } from './fake-machine.ts';

describe('the configuration of apt', () => {
  test('is read in the one-line format, with options, comments and sources of other kinds', () => {
    const text = [
      '# deb http://old.example/debian bookworm main',
      'deb http://mirror.example/debian/ bookworm main contrib # the mirror',
      'deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg,/usr/share/keyrings/b.gpg] https://b.example/x trixie main',
      'deb-src http://mirror.example/debian bookworm main',
      '',
    ].join('\n');
    expect(parseOneLine(text)).toEqual([
      {
        uri: 'http://mirror.example/debian',
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        signedBy: [],
      },
      {
        uri: 'https://b.example/x',
        suites: ['trixie'],
        components: ['main'],
        signedBy: ['/usr/share/keyrings/a.gpg', '/usr/share/keyrings/b.gpg'],
      },
    ]);
  });

  test('is read in the deb822 format, with several addresses, comments and disabled stanzas', () => {
    const text = [
      'Types: deb deb-src',
      '# http://snapshot.example/debian/20250520',
      'URIs: http://one.example/debian http://two.example/debian/',
      'Suites: bookworm bookworm-updates',
      'Components: main',
      'Signed-By: /usr/share/keyrings/debian.gpg',
      '',
      'Types: deb',
      'URIs: http://off.example/debian',
      'Suites: sid',
      'Components: main',
      'Enabled: no',
      '',
      'Types: deb-src',
      'URIs: http://src.example/debian',
      'Suites: sid',
      'Components: main',
    ].join('\n');
    const common = { suites: ['bookworm', 'bookworm-updates'], components: ['main'] };
    const signedBy = ['/usr/share/keyrings/debian.gpg'];
    expect(parseDeb822Sources(text)).toEqual([
      { uri: 'http://one.example/debian', ...common, signedBy },
      { uri: 'http://two.example/debian', ...common, signedBy },
    ]);
  });

  test('a key that stands in the file itself is not taken for the name of a file', () => {
    const text = [
      'Types: deb',
      'URIs: http://one.example/debian',
      'Suites: sid',
      'Components: main',
      'Signed-By:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      ' mQINBGPL0BUBEADmW5',
    ].join('\n');
    expect(parseDeb822Sources(text)).toMatchObject([{ signedBy: [] }]);
  });

  test('is collected from all files that apt reads, and no others', async () => {
    const root = await temporaryFolder();
    const parts = join(root, 'etc/apt/sources.list.d');
    await putFile(join(root, 'etc/apt/sources.list'), 'deb http://a.example/debian sid main\n');
    await putFile(join(parts, 'b.list'), 'deb http://b.example/debian sid main\n');
    await putFile(
      join(parts, 'c.sources'),
      'Types: deb\nURIs: http://c.example\nSuites: sid\nComponents: main\n',
    );
    await putFile(join(parts, 'd.list.disabled'), 'deb http://d.example/debian sid main\n');
    const uris = (await readAptArchives(root)).map((archive) => archive.uri);
    expect(uris).toEqual(['http://a.example/debian', 'http://b.example/debian', 'http://c.example']);
  });

  test('may be missing altogether', async () => {
    expect(await readAptArchives(await temporaryFolder())).toEqual([]);
  });
});

describe('an index of packages', () => {
  const stanza = (name: string, version: string) =>
    [
      `Package: ${name}`,
      `Version: ${version}`,
      'Depends: libc6 (>= 2.34)',
      'Description: a store',
      ` Package: ${name} in a description`,
      `Filename: pool/main/e/etcd/${name}_${version}_amd64.deb`,
      `SHA256: ${'ab'.repeat(32)}`,
      '',
      '',
    ].join('\n');

  test('gives the named packages and no others', () => {
    const index = stanza('etcd-fs', '1') + stanza('etcd-server', '3.5.30-2') + stanza('not-etcd-client', '2');
    expect(parsePackages(Buffer.from(index), ['etcd-server', 'etcd-client'])).toEqual([
      {
        package: 'etcd-server',
        version: '3.5.30-2',
        filename: 'pool/main/e/etcd/etcd-server_3.5.30-2_amd64.deb',
        sha256: 'ab'.repeat(32),
      },
    ]);
  });

  test('gives every version of a package, also the last without an empty line', () => {
    const index = (stanza('etcd-client', '3.4.23-4+b4') + stanza('etcd-client', '3.5.16-4')).trimEnd();
    const found = parsePackages(Buffer.from(index), ['etcd-client']);
    expect(found.map((entry) => entry.version)).toEqual(['3.4.23-4+b4', '3.5.16-4']);
  });

  test('leaves out a package without a hash', () => {
    const index = 'Package: etcd-server\nVersion: 3.5.30-2\nFilename: pool/e.deb\n\n';
    expect(parsePackages(Buffer.from(index), ['etcd-server'])).toEqual([]);
  });

  test.each([
    ['3.5.30-2', '3.5.30'],
    ['3.4.23-4+b4', '3.4.23'],
    ['3.3.25+dfsg-6', '3.3.25'],
    ['1:3.5.16-4~bpo12+1', '3.5.16'],
    ['3.6.0~rc4-1', '3.6.0'],
  ])('%s is version %s of etcd', (debian, upstream) => {
    expect(upstreamVersion(debian)).toBe(upstream);
  });
});

test('hashes are read from the SHA256 section of a Release file only', () => {
  const release = [
    'Origin: Debian',
    'MD5Sum:',
    ' 11 5 main/binary-amd64/Packages.xz',
    'SHA256:',
    ' 22 5 main/binary-amd64/Packages.xz',
    ' 33   123 main/binary-amd64/Packages.gz',
    'Extra: x',
    ' 44 5 main/binary-amd64/Packages',
  ].join('\n');
  expect([...parseHashes(release)]).toEqual([
    ['main/binary-amd64/Packages.xz', '22'],
    ['main/binary-amd64/Packages.gz', '33'],
  ]);
});
