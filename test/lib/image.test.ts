import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { expect, it } from 'vitest';
import { memberDataDir, memberUser } from '../../lib/constructs/member-task.ts';
import { versionsInState } from '../../node-image/binaries/versions.ts';

const root = path.resolve(import.meta.dirname, '../..');
const dockerfile = readFileSync(path.join(root, 'node-image/Dockerfile'), 'utf8');

it('agrees with the task definitions on user and data folder', () => {
  expect(dockerfile).toMatch(new RegExp(`^USER ${memberUser}$`, 'm'));
  expect(dockerfile).toMatch(new RegExp(`^VOLUME ${memberDataDir}$`, 'm'));
  // The folder is copied by its parent: only so it keeps its mode.
  expect(dockerfile).toContain(`chmod 0770 /out/lib/etcd`);
  expect(dockerfile).toContain(
    `COPY --from=nanny --chown=${memberUser} /out/lib/ ${path.dirname(memberDataDir)}/`,
  );
});

it('is built from a context that has every source of the nanny', async () => {
  const { metafile } = await build({
    entryPoints: [path.join(root, 'node-image/src/main.ts')],
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    metafile: true,
    write: false,
  });
  const outside = Object.keys(metafile.inputs).filter((file) => !/^(node-image|lambdas\/core)\//.test(file));
  expect(outside).toEqual([]);
});

it('carries every version that is offered by default', () => {
  const built = readdirSync(path.join(root, 'node-image/etcd-build'));
  expect(versionsInState('supported').filter((version) => !built.includes(version))).toEqual([]);
});
