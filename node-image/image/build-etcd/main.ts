/** Run by the Dockerfile: `node build-etcd/main.ts <out> <os> <arch> <sources> [version ...]`. Writes `<out>/etcd.json` too. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemMachine } from '../../binaries/machine.ts';
import { versionsInState } from '../../binaries/versions.ts';
import { etcdForImage, imageSources } from '../etcd.ts';

const [out = '', os = '', arch = '', sources = '', ...versions] = process.argv.slice(2);
const given = join(import.meta.dirname, '../../etcd-binaries');
try {
  await mkdir(join(out, 'etcd'), { recursive: true });
  const made = await etcdForImage({
    versions: versions.length > 0 ? versions : versionsInState('supported'),
    out: join(out, 'etcd'),
    os,
    arch,
    machine: systemMachine(process.env),
    sources: imageSources(sources, given),
    onProgress: (line) => console.log(line),
  });
  await writeFile(join(out, 'etcd.json'), JSON.stringify(made));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
