import type { ImageEtcd } from './etcd.ts';
import type { GoModule } from './go-modules.ts';

/** The part of package-lock.json that is read here. */
export interface PackageLock {
  readonly packages: Readonly<
    Record<string, { readonly version?: string; readonly integrity?: string; readonly license?: string }>
  >;
}

export interface SbomParts {
  readonly name: string;
  readonly version: string;
  readonly nodeVersion: string;
  /** Files that went into the bundle, as esbuild tells them: relative to the checkout. */
  readonly bundled: readonly string[];
  readonly lock: PackageLock;
  readonly etcd: readonly ImageEtcd[];
}

export interface Component {
  readonly type: 'application' | 'library' | 'platform';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly expression: string }[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

/**
 * CycloneDX 1.6 of what the image carries on top of its base: the nanny with the packages that are really in its bundle,
 * Node, and each etcd with the modules that Go says are in the binary. The base's own packages are in its dpkg database.
 * The same image has the same text: no time, no random number.
 */
export function sbom(parts: SbomParts) {
  const nanny: Component = {
    type: 'application',
    'bom-ref': 'nanny',
    name: parts.name,
    version: parts.version,
    purl: `pkg:generic/${parts.name}@${parts.version}`,
  };
  const node: Component = {
    type: 'platform',
    'bom-ref': 'node',
    name: 'node',
    version: parts.nodeVersion,
    purl: `pkg:generic/node@${parts.nodeVersion}`,
  };
  const packages = bundledPackages(parts.bundled).map((path) => npmComponent(path, parts.lock));
  const etcds = parts.etcd.map((etcd) => ({ etcd, component: etcdComponent(etcd) }));
  const modules = new Map(
    parts.etcd.flatMap(modulesOf).map((module) => [refOf(module), goComponent(module)] as const),
  );
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: { ...nanny, 'bom-ref': 'image', name: 'etcd-nanny/node-image', type: 'container' },
    },
    components: [nanny, node, ...packages, ...etcds.map(({ component }) => component), ...sorted(modules)],
    dependencies: [
      { ref: 'image', dependsOn: ['nanny', 'node', ...etcds.map(({ component }) => component['bom-ref'])] },
      { ref: 'nanny', dependsOn: packages.map((one) => one['bom-ref']) },
      ...etcds.map(({ etcd, component }) => ({
        ref: component['bom-ref'],
        dependsOn: [...new Set(modulesOf(etcd).map(refOf))].sort(),
      })),
    ],
  };
}

const sorted = (modules: ReadonlyMap<string, Component>): Component[] =>
  [...modules].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, component]) => component);

/** Paths in the lock file: a package inside of another one's folder is another copy, perhaps of another version. */
export function bundledPackages(files: readonly string[]): string[] {
  const paths = files.flatMap((file) => /^(?:.*?\/)??(node_modules\/.*)$/.exec(file)?.[1] ?? []);
  const folders = paths.flatMap(
    (path) => /^((?:node_modules\/(?:@[^/]+\/)?[^/]+\/)+)/.exec(path)?.[1]?.slice(0, -1) ?? [],
  );
  return [...new Set(folders)].sort();
}

/** @throws Error when the lock does not know it: then the bundle was made of something else */
function npmComponent(path: string, lock: PackageLock): Component {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const entry = lock.packages[path];
  if (entry?.version === undefined)
    throw new Error(`${path} is in the bundle, but not in package-lock.json.`);
  const [algorithm, digest] = entry.integrity?.split('-') ?? [];
  const purl = `pkg:npm/${name.replace('@', '%40')}@${entry.version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version: entry.version,
    purl,
    ...(entry.license && { licenses: [{ expression: entry.license }] }),
    ...(algorithm === 'sha512' &&
      digest && { hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] }),
  };
}

const modulesOf = ({ binaries }: ImageEtcd): GoModule[] =>
  Object.values(binaries).flatMap(({ modules }) => modules);

const refOf = ({ path, version }: GoModule): string => `pkg:golang/${path}@${version}`;

function etcdComponent({ version, source, binaries }: ImageEtcd): Component {
  const purl = `pkg:golang/go.etcd.io/etcd/server/v3@v${version}`;
  return {
    type: 'application',
    'bom-ref': purl,
    name: 'etcd',
    version,
    purl,
    licenses: [{ expression: 'Apache-2.0' }],
    properties: [
      { name: 'etcd-nanny:source', value: source },
      { name: 'etcd-nanny:go', value: binaries.etcd.goVersion },
    ],
  };
}

function goComponent(module: GoModule): Component {
  const purl = refOf(module);
  return {
    type: 'library',
    'bom-ref': purl,
    name: module.path,
    version: module.version,
    purl,
    // A hash over the module's files, not of one file: no field of CycloneDX is for that.
    ...(module.sum && { properties: [{ name: 'go:sum', value: module.sum }] }),
  };
}
