/** Run by the Dockerfile: `node nanny-main.ts <etcd.json> <out>` makes nanny.mjs and sbom.cdx.json. */
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { bundleNanny } from '../bundle.ts';
import { sbom } from './sbom.ts';

const [etcd = '', out = ''] = process.argv.slice(2);
const root = join(import.meta.dirname, '../..');
const json = async (file: string) => JSON.parse(await readFile(file, 'utf8'));
const inputs = await bundleNanny(join(out, 'nanny.mjs'));
const { name, version } = await json(join(root, 'package.json'));
const document = sbom({
  name,
  version,
  nodeVersion: process.versions.node,
  bundled: inputs.map((file) => relative(root, file)),
  lock: await json(join(root, 'package-lock.json')),
  etcd: await json(etcd),
});
await writeFile(join(out, 'sbom.cdx.json'), `${JSON.stringify(document, undefined, 1)}\n`);
