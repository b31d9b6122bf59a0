/**
 * `npm run package`: what other CDK apps install, as dist/etcd-nanny-<version>.tgz. Node does not run TypeScript below
 * node_modules, and an app must bring its own aws-cdk-lib: so the construct is built, with its function, into a package
 * that depends on nothing but the CDK of whoever uses it.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { bundleHandler } from '../lib/constructs/bundle.ts';

const root = path.resolve(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
const folder = path.join(dist, 'package');
const from = (...parts: string[]) => path.join(root, ...parts);
const to = (...parts: string[]) => path.join(folder, ...parts);
interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
}
const own = JSON.parse(readFileSync(from('package.json'), 'utf8')) as Manifest;

rmSync(dist, { recursive: true, force: true });
mkdirSync(to('tenant-resource'), { recursive: true });
buildSync({
  entryPoints: [from('lib', 'index.ts')],
  outfile: to('index.js'),
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.11',
  external: ['aws-cdk-lib', 'constructs', 'esbuild'],
  legalComments: 'none',
  logLevel: 'warning',
});
bundleHandler(from('lambdas', 'tenant-resource', 'handler.ts'), to('tenant-resource', 'index.mjs'));

// The construct's public types name nothing but the CDK's, so one file of declarations is all of them.
const declarations = path.join(dist, 'declarations');
const flags = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--outDir', declarations];
execFileSync(
  process.execPath,
  [from('node_modules', 'typescript', 'bin', 'tsc'), '-p', from('tsconfig.package.json'), ...flags],
  { stdio: 'inherit' },
);
copyFileSync(path.join(declarations, 'lib', 'constructs', 'etcd-tenant.d.ts'), to('index.d.ts'));
rmSync(declarations, { recursive: true });

copyFileSync(from('LICENSE'), to('LICENSE'));
copyFileSync(from('docs', 'tenants-as-code.md'), to('README.md'));
const manifest = {
  name: 'etcd-nanny',
  version: own.version,
  description: 'EtcdTenant: a dedicated etcd cluster of an etcd-nanny deployment, as an AWS CDK construct.',
  license: own.license,
  type: 'module',
  exports: { '.': { types: './index.d.ts', default: './index.js' }, './package.json': './package.json' },
  types: './index.d.ts',
  peerDependencies: {
    'aws-cdk-lib': `^${own.dependencies['aws-cdk-lib']}`,
    constructs: `^${own.dependencies.constructs}`,
  },
};
writeFileSync(to('package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
const packed = execFileSync('npm', ['pack', folder, '--pack-destination', dist, '--silent'], {
  encoding: 'utf8',
});
console.log(`dist/${packed.trim()}: npm install it in your CDK app.`);
