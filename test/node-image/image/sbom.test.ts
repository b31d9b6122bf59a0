import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ImageEtcd } from '../../../node-image/image/etcd.ts';
import { bundledPackages, type SbomParts, sbom } from '../../../node-image/image/sbom.ts';

const binary = (name: string): ImageEtcd['binaries']['etcd'] => ({
  path: `go.etcd.io/etcd/${name}/v3`,
  goVersion: '1.26.8',
  os: 'linux',
  arch: 'arm64',
  main: { path: `go.etcd.io/etcd/${name}/v3`, version: 'v3.6.16', sum: 'h1:x=' },
  modules: [{ path: 'go.uber.org/zap', version: 'v1.28.0', sum: 'h1:zap=' }],
});
const parts: SbomParts = {
  name: 'etcd-nanny',
  version: '0.1.0',
  nodeVersion: '24.21.0',
  bundled: ['node-image/src/main.ts', 'node_modules/zod/v4/core.js', 'node_modules/zod/index.js'],
  lock: JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')),
  etcd: [
    { version: '3.6.16', source: 'go', binaries: { etcd: binary('server'), etcdutl: binary('etcdutl') } },
  ],
};

test('it lists what is in the bundle with the version and hash that the lock has, and nothing else of the lock', () => {
  const { components } = sbom(parts);
  const npm = components.filter(({ purl }) => purl.startsWith('pkg:npm/'));
  const zod = parts.lock.packages['node_modules/zod']!;
  expect(npm).toMatchObject([{ name: 'zod', version: zod.version, licenses: [{ expression: 'MIT' }] }]);
  expect(npm[0]!.hashes![0]!.content).toMatch(/^[0-9a-f]{128}$/);
});

test('a module that two binaries share is listed once, with its go.sum', () => {
  const { components } = sbom(parts);
  const zap = components.filter(({ name }) => name === 'go.uber.org/zap');
  expect(zap).toMatchObject([{ version: 'v1.28.0', properties: [{ name: 'go:sum', value: 'h1:zap=' }] }]);
});

test('every reference leads to a component', () => {
  const { components, dependencies, metadata } = sbom(parts);
  const known = new Set([metadata.component, ...components].map((component) => component['bom-ref']));
  const named = dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]);
  expect(named.filter((ref) => !known.has(ref))).toEqual([]);
  expect(known.size).toBe(components.length + 1);
});

test('the same content gives the same text', () => {
  expect(JSON.stringify(sbom(parts))).toBe(JSON.stringify(sbom(structuredClone(parts))));
});

test('a package in the folder of another one is told from its namesake', () => {
  expect(
    bundledPackages([
      'node_modules/@aws-crypto/util/node_modules/@smithy/util-utf8/dist/index.js',
      '../x/node_modules/@smithy/util-utf8/dist/index.js',
      'node_modules/a/b.js',
    ]),
  ).toEqual([
    'node_modules/@aws-crypto/util/node_modules/@smithy/util-utf8',
    'node_modules/@smithy/util-utf8',
    'node_modules/a',
  ]);
});

test('a package that the lock does not know is no package of ours', () => {
  expect(() => sbom({ ...parts, bundled: ['node_modules/left-pad/index.js'] })).toThrow(/left-pad/);
});
