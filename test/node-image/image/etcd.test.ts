import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ExecResult, Machine } from '../../../node-image/binaries/machine.ts';
import { type Source, SourceFailure } from '../../../node-image/binaries/source.ts';
import { defaultVersion, knownVersion } from '../../../node-image/binaries/versions.ts';
import { directorySource, etcdForImage, imageSources } from '../../../node-image/image/etcd.ts';
import { parseBuildInfo } from '../../../node-image/image/go-modules.ts';

const version = defaultVersion;
const pins = knownVersion(version)!.goModules!;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nanny-image-etcd-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const info = (module: string, is: string, sum: string, arch = 'arm64') =>
  `file: go1.26.8\n\tpath\tgo.etcd.io/etcd/${module}/v3\n\tmod\tgo.etcd.io/etcd/${module}/v3\t${is}\t${sum}\n\tdep\tgo.uber.org/zap\tv1.28.0\th1:abc=\n\tbuild\tGOARCH=${arch}\n\tbuild\tGOOS=linux\n`;

/** A machine whose `go version -m` says this of each binary. */
function machine(say: (name: string) => string): Machine {
  const exec = async (_command: string, args: readonly string[]): Promise<ExecResult> => {
    const text = say(args.at(-1)!.split('/').at(-1)!);
    return { code: 0, stdout: Buffer.from(text), stderr: '' };
  };
  return { os: 'linux', arch: 'x64', env: {}, root: '/', fetch, exec, which: async () => undefined };
}
const honest = (name: string) =>
  name === 'etcd' ? info('server', `v${version}`, pins.server) : info('etcdutl', `v${version}`, pins.etcdutl);

function given(): string {
  const directory = join(folder, 'given');
  mkdirSync(join(directory, version), { recursive: true });
  for (const name of ['etcd', 'etcdctl', 'etcdutl']) writeFileSync(join(directory, version, name), name);
  return directory;
}
const nowhere: Source = {
  name: 'release',
  obtain: async () => {
    throw new SourceFailure('no SHA-256 is pinned');
  },
  probe: async () => undefined,
};
const make = (sources: readonly Source[], of: Machine) =>
  etcdForImage({
    versions: [version],
    out: join(folder, 'out'),
    os: 'linux',
    arch: 'arm64',
    machine: of,
    sources,
    onProgress: () => undefined,
  });

test('a source that cannot give a version is passed over, and only what the nanny runs goes into the image', async () => {
  const made = await make([nowhere, directorySource(given())], machine(honest));
  expect(made).toMatchObject([{ version, source: 'directory' }]);
  expect(readdirSync(join(folder, 'out', version)).sort()).toEqual(['etcd', 'etcdutl']);
});

test.each([
  ['another version', (name: string) => honest(name).replace(`v${version}`, 'v3.4.0')],
  ['modules that are not the pinned ones', (name: string) => honest(name).replace(/h1:\S+/, 'h1:forged=')],
  ['another platform', (name: string) => honest(name).replace('GOARCH=arm64', 'GOARCH=amd64')],
])('binaries of %s are refused, with what they are', async (_what, say) => {
  await expect(make([directorySource(given())], machine(say))).rejects.toThrow(
    /cannot be had\. directory: etcd is/,
  );
});

test('a source that nobody knows is refused by name', () => {
  expect(() => imageSources('release,ftp', folder)).toThrow(/"ftp"/);
});

test('build info names the module that stands in for another one', () => {
  const text = `${info('server', 'v1', 'h1:a=').split('\tbuild')[0]}\tdep\texample.com/old\tv1.0.0\n\t=>\texample.com/new\tv1.1.0\th1:n=\n\tbuild\tGOOS=linux\n\tbuild\tGOARCH=amd64\n`;
  expect(parseBuildInfo(text).modules.map(({ path }) => path)).toEqual([
    'go.uber.org/zap',
    'example.com/new',
  ]);
});
