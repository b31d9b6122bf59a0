import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkBinaries } from '../cache.ts';
import { binaries, type Source, type SourceContext, SourceFailure } from '../source.ts';

/** All three of the version on PATH. They are copied: an upgrade of the system must not change a running tenant. */
export const pathSource: Source = {
  name: 'path',
  async probe(version, context) {
    await findOnPath(version, context);
  },
  async obtain(version, stage, context) {
    const found = await findOnPath(version, context);
    for (const name of binaries) await copyFile(found[name], join(stage, name));
    const wrong = await checkBinaries(stage, version, context.machine);
    if (wrong !== undefined) throw new SourceFailure(wrong);
  },
};

type Found = Record<(typeof binaries)[number], string>;

async function findOnPath(version: string, { machine, once }: SourceContext): Promise<Found> {
  const { paths, installed } = await once('path', async () => {
    const paths: Partial<Found> = {};
    for (const name of binaries) {
      const path = await machine.which(name);
      if (path !== undefined) paths[name] = path;
    }
    if (paths.etcd === undefined) return { paths, installed: undefined };
    const said = await machine.exec(paths.etcd, ['--version'], { timeoutMs: 20_000 });
    return { paths, installed: /etcd Version: (\S+)/.exec(said.stdout.toString('utf8'))?.[1] ?? 'unknown' };
  });
  if (installed === undefined) throw new SourceFailure('there is no etcd on PATH');
  if (installed !== version) throw new SourceFailure(`the etcd on PATH is ${installed}`);
  const missing = binaries.filter((name) => paths[name] === undefined);
  if (missing.length > 0)
    throw new SourceFailure(`etcd ${version} is on PATH, but not ${missing.join(' and ')}`);
  return paths as Found;
}
